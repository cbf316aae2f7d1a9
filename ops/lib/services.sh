# shellcheck shell=bash
# Sourced by ops/lib/stack: how each service of a state directory is made, started, waited for and stopped.
# Variables from the caller: DIR, BIN, profile, infra, purge, *_port, slots, cache_bytes, warm.

USER_NAME=${RUSTBOX_USER:-rustbox}
PGBIN=/usr/lib/postgresql/15/bin
ROLES=(admin gateway admit persist relay compact balance)
# In the order of starting; stopped in the reverse order.
SERVICES_INFRA=(postgres kafka)
SERVICES_OWN=(box persist execute admit relay deliver gateway)

as_user() { # runs a command as the system user
    chpst -u "$USER_NAME" "$@"
}

# ---- the state directory ----

# All that may lie in one. Nothing else is ever removed, and a directory that holds anything else is not taken for one.
STATE_NAMES=(.lock bin box dev.env dev.env.new etc journal kafka kafka-libs keys log ports postgres run runsvdir.pid secrets service)

# Prints the first name in a directory that is not of these.
not_ours() {
    local path
    [ -d "$1" ] || return 0
    for path in "$1"/* "$1"/.[!.]* "$1"/..?*; do
        [ -e "$path" ] || [ -L "$path" ] || continue
        [[ " ${STATE_NAMES[*]} " == *" ${path##*/} "* ]] || { echo "${path##*/}"; return; }
    done
}

ensure_user() {
    id "$USER_NAME" >/dev/null 2>&1 ||
        useradd --system --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin "$USER_NAME" ||
        fail "the system user $USER_NAME could not be made" "make it by hand: useradd --system $USER_NAME, or set RUSTBOX_USER"
}

ensure_layout() {
    local socket=$DIR/run/.s.PGSQL.5432 name
    [ "${#socket}" -le 107 ] || fail "the path $DIR is too long: a unix socket's path ends at 107 bytes" \
        "choose a shorter state directory with RUSTBOX_STATE"
    mkdir -p "$DIR"
    chmod 755 "$DIR"
    as_user test -x "$DIR" || fail "the system user $USER_NAME cannot enter $DIR" \
        "choose a state directory that it can, for example RUSTBOX_STATE=/var/lib/rustbox"
    for name in kafka postgres keys journal run; do
        mkdir -p "$DIR/$name"
        chown "$USER_NAME:" "$DIR/$name"
    done
    chmod 700 "$DIR/postgres" "$DIR/keys" "$DIR/journal"
    # Owned by root: what root runs or listens in must not be the system user's to change.
    mkdir -p "$DIR/service" "$DIR/log" "$DIR/etc" "$DIR/secrets" "$DIR/bin" "$DIR/box/roots"
    chown "root:$(id -gn "$USER_NAME")" "$DIR/secrets"
    chmod 750 "$DIR/secrets"
    for name in master signing webhooks; do
        [ -s "$DIR/secrets/$name" ] && continue
        (umask 077 && head -c 32 /dev/urandom >"$DIR/secrets/$name.new")
        chown "root:$(id -gn "$USER_NAME")" "$DIR/secrets/$name.new"
        chmod 640 "$DIR/secrets/$name.new"
        sync "$DIR/secrets/$name.new"
        mv "$DIR/secrets/$name.new" "$DIR/secrets/$name"
    done
}

# Ports survive in DIR/ports; the command line wins. A change stops what runs: every service knows them.
ensure_ports() {
    local wanted_api=$api_port wanted_admin=$admin_port wanted_kafka=$kafka_port port
    api_port= admin_port= kafka_port= controller_port=
    # shellcheck disable=SC1091
    [ ! -e "$DIR/ports" ] || . "$DIR/ports"
    api_port=${wanted_api:-${api_port:-$(free_port)}}
    admin_port=${wanted_admin:-${admin_port:-$(free_port)}}
    kafka_port=${wanted_kafka:-${kafka_port:-$(free_port)}}
    controller_port=${controller_port:-$(free_port)}
    local ports
    ports=$(printf '%s_port=%s\n' api "$api_port" admin "$admin_port" kafka "$kafka_port" controller "$controller_port")
    if [ "$ports" != "$(cat "$DIR/ports" 2>/dev/null)" ]; then
        [ ! -e "$DIR/ports" ] || stop_services
        echo "$ports" >"$DIR/ports"
    fi
    runsvdir_pid >/dev/null && return
    stop_services # left over when the runsvdir above them was killed
    for port in "$api_port" "$admin_port" "$kafka_port" "$controller_port"; do
        port_is_free "$port" || fail "port $port of 127.0.0.1 is taken" \
            "see by whom: ss -tlnp 'sport = :$port'; or choose others with RUSTBOX_PORT, RUSTBOX_ADMIN_PORT, RUSTBOX_KAFKA_PORT"
    done
}

# A running service is not disturbed by a rebuild: programs run from DIR/bin, replaced by rename.
ensure_programs() {
    local name changed=
    for name in rustbox rustbox-gateway rustbox-consumer rustbox-box rustbox-broker-index.so; do
        [ -x "$BIN/$name" ] || fail "there is no $BIN/$name" "build it: cmake --preset release && cmake --build --preset release"
        cmp -s "$BIN/$name" "$DIR/bin/$name" && continue
        cp "$BIN/$name" "$DIR/bin/$name.new"
        mv "$DIR/bin/$name.new" "$DIR/bin/$name"
        changed=1
    done
    [ ! -x "$BIN/rustbox-load" ] || cp --remove-destination "$BIN/rustbox-load" "$DIR/bin/"
    programs_changed=$changed
}

write_config() {
    local role
    {
        echo "# Written by ops/lib/stack; changes here are lost. All settings: rustbox-gateway --print-defaults"
        printf '[kafka]\nbrokers = 127.0.0.1:%s\ndurability = machine\n\n[db]\n' "$kafka_port"
        for role in gateway admit persist relay admin balance; do
            echo "url_$role = host=$DIR/run dbname=rustbox user=rustbox_$role"
        done
        printf '\n[keystore]\ndir = %s\n\n[secrets]\nmaster_file = %s\nsigning_file = %s\nwebhooks_file = %s\n' \
            "$DIR/keys" "$DIR/secrets/master" "$DIR/secrets/signing" "$DIR/secrets/webhooks"
        # Development: receivers on this machine, also without TLS. The defaults allow neither.
        printf '\n[webhooks]\nschemes = http,https\nports = any\nallow_networks = 127.0.0.0/8,::1/128\n'
        printf '\n[box]\nsocket = %s\n\n[execute]\njournal_dir = %s\n' "$DIR/box/socket" "$DIR/journal"
        printf '\n[gateway]\nlisten = 127.0.0.1:%s\nadmin_listen = 127.0.0.1:%s\n' "$api_port" "$admin_port"
        printf '\n[metrics]\n'
        for role in admit execute persist relay deliver; do
            echo "listen_$role = unix:$DIR/run/$role.metrics"
        done
    } >"$DIR/etc/rustbox.conf.new"
    mv "$DIR/etc/rustbox.conf.new" "$DIR/etc/rustbox.conf"
}

# ---- services under runit ----

# service NAME: standard input becomes its run script. The directory appears whole, by rename.
service() {
    local name=$1 new=$DIR/service/.$1.new
    local body
    body=$(cat)
    mkdir -p "$DIR/log/$name"
    if [ -d "$DIR/service/$name" ]; then
        [ "$body" = "$(cat "$DIR/service/$name/run")" ] && return
        printf '%s\n' "$body" >"$DIR/service/$name/run.new"
        chmod 755 "$DIR/service/$name/run.new"
        mv "$DIR/service/$name/run.new" "$DIR/service/$name/run"
        return
    fi
    rm -rf "$new"
    mkdir -p "$new/log"
    printf '%s\n' "$body" >"$new/run"
    printf '#!/bin/sh\nexec svlogd -tt %q\n' "$DIR/log/$name" >"$new/log/run"
    # What ended, when and how: counted by ops/status.
    printf '#!/bin/sh\necho "$(date +%%s) $1 $2" >>%q\n' "$DIR/log/$name/ends" >"$new/finish"
    chmod 755 "$new/run" "$new/log/run" "$new/finish"
    printf 's1000000\nn5\n' >"$DIR/log/$name/config"
    # 'up' starts them in order, after migrations; whatever dies later is started again all the same.
    : >"$new/down"
    mv "$new" "$DIR/service/$name"
}

write_infra_services() {
    service postgres <<EOF
#!/bin/sh
exec 2>&1
exec chpst -u $USER_NAME $PGBIN/postgres -D $DIR/postgres/data
EOF
    local kafka_profile=
    [ "$profile" != test ] || kafka_profile=test
    service kafka <<EOF
#!/bin/sh
exec 2>&1
export RUSTBOX_KAFKA_USER=$USER_NAME RUSTBOX_KAFKA_PROFILE=$kafka_profile RUSTBOX_KAFKA_LIBS=$RUSTBOX_KAFKA_LIBS RUSTBOX_KAFKA_HOME=${RUSTBOX_KAFKA_HOME:-}
export RUSTBOX_KAFKA_INDEX=$DIR/bin/rustbox-broker-index.so
exec $TOP/ops/kafka/run $DIR/kafka
EOF
}

# Quicker compilers cost 110 MB of memory and seconds of making: not for a short-lived stack.
ensure_prebuilt() {
    prebuilt=
    [ "$profile" != test ] || return 0
    say "headers and classes made ahead for the compilers"
    local before
    before=$(stat -c %i "$DIR/box/prebuilt/inputs" 2>/dev/null || true)
    if "$TOP/ops/lib/prebuild" "$DIR/box/prebuilt"; then
        prebuilt="--prebuilt $DIR/box/prebuilt"
        # A running launcher has a copy of the old ones.
        [ -z "$before" ] || [ "$before" = "$(stat -c %i "$DIR/box/prebuilt/inputs")" ] || programs_changed=1
    else
        say "that did not work (its words stand above); compiles of C++ and Java take longer"
    fi
}

write_own_services() {
    local stage
    [ -n "$warm" ] || [ "$profile" = test ] || warm=2
    ensure_prebuilt
    service box <<EOF
#!/bin/sh
exec 2>&1
exec $DIR/bin/rustbox-box --socket $DIR/box/socket --allow-user $USER_NAME --group $(id -gn "$USER_NAME") --state-dir $DIR/box/roots ${slots:+--slots $slots} ${cache_bytes:+--cache-bytes $cache_bytes} ${warm:+--warm $warm} $prebuilt
EOF
    for stage in persist execute admit relay; do
        service "$stage" <<EOF
#!/bin/sh
exec 2>&1
exec chpst -u $USER_NAME $DIR/bin/rustbox-consumer --stage $stage --config $DIR/etc/rustbox.conf
EOF
    done
    service deliver <<EOF
#!/bin/sh
exec 2>&1
exec chpst -o 20000 -u $USER_NAME $DIR/bin/rustbox-consumer --stage deliver --config $DIR/etc/rustbox.conf
EOF
    service gateway <<EOF
#!/bin/sh
exec 2>&1
exec chpst -o 20000 -u $USER_NAME $DIR/bin/rustbox-gateway --config $DIR/etc/rustbox.conf
EOF
}

runsvdir_pid() {
    local pid
    pid=$(cat "$DIR/runsvdir.pid" 2>/dev/null) && [ -n "$pid" ] &&
        tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -qF "runsvdir -P $DIR/service" && echo "$pid"
}

start_runsvdir() {
    runsvdir_pid >/dev/null && return
    # No descriptor of the caller stays open in it; its own session, so that no terminal's end reaches it.
    setsid env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 runsvdir -P "$DIR/service" \
        </dev/null >"$DIR/log/runsvdir" 2>&1 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&- &
    echo $! >"$DIR/runsvdir.pid"
}

# wait_until SECONDS WHAT SERVICE COMMAND...: the service's last log lines are shown when it does not come.
wait_until() {
    local seconds=$1 what=$2 name=$3 begin=$SECONDS
    shift 3
    until "$@" >/dev/null 2>&1; do
        if [ $((SECONDS - begin)) -ge "$seconds" ]; then
            tail -15 "$DIR/log/$name/current" >&2 2>/dev/null || true
            fail "$what did not come up within $seconds s" "its log is $DIR/log/$name/current"
        fi
        sleep 0.1
    done
}

service_up() { # starts it if it is down; its runsv may not be there yet
    wait_until 10 "the supervisor of $1" "$1" sv status "$DIR/service/$1"
    quietly sv up "$DIR/service/$1" || fail "$1 could not be started" "its log is $DIR/log/$1/current"
}

# ---- PostgreSQL ----

init_postgres() {
    [ ! -e "$DIR/postgres/data/PG_VERSION" ] || return 0
    say "making a PostgreSQL cluster in $DIR/postgres"
    rm -rf "$DIR/postgres/data"
    (cd "$DIR/postgres" && quietly as_user "$PGBIN/initdb" -D "$DIR/postgres/data" -U rustbox --auth=peer \
        -E UTF8 --locale=C.UTF-8 --data-checksums) || fail "initdb failed" "its words stand above; ops/doctor checks the machine"
    cat >>"$DIR/postgres/data/postgresql.conf" <<EOF

# Rustbox
listen_addresses = ''
unix_socket_directories = '$DIR/run'
unix_socket_permissions = 0770
max_connections = 60
shared_buffers = 128MB
log_line_prefix = '%m [%p] %u '
log_min_duration_statement = 2s
log_parameter_max_length = 0          # values never reach the log
log_parameter_max_length_on_error = 0
EOF
    echo "local all all peer map=rustbox" >"$DIR/postgres/data/pg_hba.conf"
    local role who
    for who in "$USER_NAME" root; do
        echo "rustbox $who rustbox"
        for role in "${ROLES[@]}"; do echo "rustbox $who rustbox_$role"; done
    done >"$DIR/postgres/data/pg_ident.conf"
}

pg() { # psql as the superuser of this cluster
    PGOPTIONS="-c client_min_messages=warning" psql -X -q -v ON_ERROR_STOP=1 -h "$DIR/run" -U rustbox "$@"
}

init_database() {
    if [ -z "$(pg -d postgres -Atc "select 1 from pg_database where datname = 'rustbox'")" ]; then
        pg -d postgres -c "create database rustbox"
    fi
    pg -d rustbox -f "$TOP/schemas/sql/roles.sql"
    pg -d rustbox -c "alter database rustbox owner to rustbox_owner"
}

# ---- up and down ----

kafka_ready() { (exec 3<>"/dev/tcp/127.0.0.1/$kafka_port") 2>/dev/null; }
pg_ready() { pg -d postgres -c "select 1"; }
api_ready() { curl_like "http://127.0.0.1:$api_port/api/health/ready" | grep -q '"ready"'; }

curl_like() { # no curl needed: python3 is there anyway
    /usr/bin/python3 -c 'import sys, urllib.request as u; print(u.urlopen(sys.argv[1], timeout=2).read().decode())' "$1"
}

# The broker's jars must be readable by the system user; a checkout in a private home is not.
ensure_broker() {
    export RUSTBOX_KAFKA_LIBS=${RUSTBOX_KAFKA_LIBS:-$TOP/var/kafka/libs}
    [ -n "${RUSTBOX_KAFKA_HOME:-}" ] || quietly "$TOP/ops/kafka/fetch" "$RUSTBOX_KAFKA_LIBS" ||
        fail "the broker's jars could not be fetched" "see above, or set RUSTBOX_KAFKA_HOME to an unpacked Apache Kafka 4.x"
    local probe=${RUSTBOX_KAFKA_HOME:-$RUSTBOX_KAFKA_LIBS}
    if ! as_user test -r "$probe" -a -x "$probe"; then
        [ -z "${RUSTBOX_KAFKA_HOME:-}" ] || fail "the system user $USER_NAME cannot read $probe" "chmod a+rX it"
        mkdir -p "$DIR/kafka-libs"
        cp -n "$RUSTBOX_KAFKA_LIBS"/*.jar "$DIR/kafka-libs/"
        RUSTBOX_KAFKA_LIBS=$DIR/kafka-libs
        # The class-data archive knows where its jars were: this directory needs one of its own.
        quietly "$TOP/ops/kafka/fetch" "$RUSTBOX_KAFKA_LIBS"
    fi
    chown -R "$USER_NAME:" "$DIR/kafka"
    quietly "$TOP/ops/kafka/format" "$DIR/kafka" "$kafka_port" "$controller_port" ||
        fail "the broker's storage could not be formatted" "its words stand above"
    chown -R "$USER_NAME:" "$DIR/kafka"
}

rustbox_admin() { "$DIR/bin/rustbox" admin "$@" --config "$DIR/etc/rustbox.conf"; }

make_project() {
    [ ! -s "$DIR/dev.env" ] || ! grep -q '^RUSTBOX_KEY=rb_' "$DIR/dev.env" || return 0
    local project key
    project=$(rustbox_admin project create --name dev --plan unlimited --json) ||
        fail "the project 'dev' could not be made" "see above; ops/status shows the processes"
    project=$(/usr/bin/python3 -c 'import json, sys; print(json.loads(sys.argv[1])["id"])' "$project")
    key=$(rustbox_admin key create --project "$project" --label "ops/up" --json) ||
        fail "a key for the project 'dev' could not be made" "see above"
    KEY=$(/usr/bin/python3 -c 'import json, sys; print(json.loads(sys.argv[1])["key"])' "$key")
}

write_env() {
    local key=${KEY:-$(sed -n 's/^RUSTBOX_KEY=//p' "$DIR/dev.env" 2>/dev/null || true)}
    (
        umask 077
        cat >"$DIR/dev.env.new" <<EOF
RUSTBOX_API=http://127.0.0.1:$api_port
RUSTBOX_KEY=$key
RUSTBOX_ADMIN=http://127.0.0.1:$admin_port
RUSTBOX_CONFIG=$DIR/etc/rustbox.conf
RUSTBOX_BIN=$DIR/bin
RUSTBOX_BROKERS=127.0.0.1:$kafka_port
RUSTBOX_DATABASE="host=$DIR/run dbname=rustbox user=rustbox"
RUSTBOX_DURABILITY=machine
EOF
    )
    mv "$DIR/dev.env.new" "$DIR/dev.env"
}

# Java compiles what has run some thousand times: until then a record costs several times as much.
warm_broker() {
    say "probe records, until the broker has compiled itself"
    quietly rustbox_admin warm || say "that did not work (its words stand above); the first thousand submissions take longer"
}

stack_up() {
    local name cold=
    ensure_user
    ensure_layout
    ensure_ports
    [ -n "$infra" ] || ensure_programs
    write_config
    init_postgres
    ensure_broker
    write_infra_services
    [ -n "$infra" ] || write_own_services
    kafka_ready || cold=1
    start_runsvdir
    for name in "${SERVICES_INFRA[@]}"; do service_up "$name"; done
    wait_until 30 PostgreSQL postgres pg_ready
    init_database
    wait_until 60 Kafka kafka kafka_ready
    if [ -z "$infra" ]; then
        say "migrations and topics"
        rustbox_admin migrate
        rustbox_admin topics
        for name in "${SERVICES_OWN[@]}"; do
            if [ -n "$programs_changed" ] && sv status "$DIR/service/$name" 2>/dev/null | grep -q ^run; then
                say "restarting $name: its program is a new one"
                sv -w 30 restart "$DIR/service/$name" >/dev/null || fail "$name could not be restarted" "its log is $DIR/log/$name/current"
            fi
            service_up "$name"
        done
        wait_until 60 "the gateway" gateway api_ready
        make_project
        [ -z "$cold" ] || [ "$profile" = test ] || warm_broker
    fi
    write_env
    [ -n "$infra" ] || say "webhooks may go to http:// and to this machine itself: development settings, in $DIR/etc/rustbox.conf"
    say "ready: http://127.0.0.1:$api_port (settings in $DIR/dev.env)"
}

# Ends every supervised process and its supervisor; works as well when the runsvdir above them was killed.
stop_services() {
    local pid name i
    local order=("${SERVICES_INFRA[@]}" "${SERVICES_OWN[@]}")
    ! pid=$(runsvdir_pid) || kill -TERM "$pid" # leaves what it started, starts nothing again
    for ((i = ${#order[@]} - 1; i >= 0; i--)); do
        name=${order[i]}
        sv status "$DIR/service/$name" >/dev/null 2>&1 || continue
        say "stopping $name"
        # PostgreSQL: SIGINT is a fast shutdown, SIGTERM waits for every client.
        [ "$name" != postgres ] || { sv once "$DIR/service/$name" && sv interrupt "$DIR/service/$name"; } >/dev/null || true
        sv -w 30 force-stop "$DIR/service/$name" >/dev/null ||
            fail "$name did not stop" "its log is $DIR/log/$name/current"
        sv -w 10 force-shutdown "$DIR/service/$name" >/dev/null ||
            fail "the supervisor of $name did not end" "look at it: sv status $DIR/service/$name"
    done
    rm -f "$DIR/runsvdir.pid"
}

stack_down() {
    stop_services
    [ -n "$purge" ] || return 0
    local name
    for name in "${STATE_NAMES[@]}"; do rm -rf "${DIR:?}/$name"; done
    if rmdir "$DIR" 2>/dev/null; then
        say "removed $DIR"
    else
        say "removed all but $(not_ours "$DIR") in $DIR, which Rustbox did not make"
    fi
}
