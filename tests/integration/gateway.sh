#!/usr/bin/env bash
# The gateway against a real broker and a real database: what a client is told, also while one of them is away.
# Only the gateway runs (no stage), so that every submission stays pending.
set -euo pipefail
top=$(cd "$(dirname "$0")/../.." && pwd)
bin=${RUSTBOX_BUILD:?}/bin
[ "$(id -u)" = 0 ] || { echo "skipped: needs root to make a state directory"; exit 77; }
command -v chpst >/dev/null && command -v kcat >/dev/null && [ -x /usr/lib/postgresql/15/bin/initdb ] || { echo "skipped: needs runit, kcat and postgresql-15"; exit 77; }
dir=$(mktemp -d /var/tmp/rbgw.XXXXXX)
chmod 755 "$dir"
pid=
cleanup() {
    [ -z "$pid" ] || kill -9 "$pid" 2>/dev/null || true
    "$top/ops/lib/stack" down "$dir" --purge >/dev/null 2>&1 || true
    rm -rf "$dir"
}
trap cleanup EXIT
"$top/ops/lib/stack" up "$dir" --test --infra --bin "$bin" >"$dir.log" 2>&1 || { cat "$dir.log"; rm -f "$dir.log"; exit 1; }
rm -f "$dir.log"
install "$bin/rustbox-gateway" "$bin/rustbox" "$dir/bin/"
. "$dir/dev.env"
as() { chpst -u rustbox "$@"; }
admin() { as "$dir/bin/rustbox" admin "$@" --config "$RUSTBOX_CONFIG"; }
admin migrate >/dev/null
admin topics >/dev/null
project=$(admin project create --name a --plan unlimited --json | jq -r .id)
key=$(admin key create --project "$project" --label a --json | jq -r .key)
other=$(admin key create --project "$(admin project create --name b --plan trial --json | jq -r .id)" --label b --json | jq -r .key)

start() {
    chpst -u rustbox "$dir/bin/rustbox-gateway" --config "$RUSTBOX_CONFIG" >>"$dir/gateway.log" 2>&1 &
    pid=$!
    for _ in $(seq 100); do
        [ "$(curl -s -o /dev/null -w '%{http_code}' "$RUSTBOX_API/api/health/ready")" = 200 ] && return
        sleep 0.1
    done
    fail "the gateway is not ready: $(tail -3 "$dir/gateway.log")"
}
fail() { echo "FAILED: $*"; exit 1; }
status= body=
ask() { # ask PATH [curl options]: fills status and body
    local path=$1 out
    shift
    out=$(curl -s -m 20 -w '\n%{http_code}' -H "X-API-Key: ${as_key:-$key}" -H 'Content-Type: application/json' "$@" "$RUSTBOX_API$path")
    status=${out##*$'\n'} body=${out%$'\n'*}
}
want() { # want WHAT STATUS [TEXT]
    [ "$status" = "$2" ] || fail "$1: status $status, wanted $2: $body"
    [ -z "${3:-}" ] || case $body in *"$3"*) ;; *) fail "$1: no '$3' in $body" ;; esac
    echo "ok: $1"
}
one='{"language":"py","code":"print(1)"}'
two='{"language":"py","code":"print(2)"}'
id_of() { jq -r .id <<<"$body"; }
absent=01a20a65-7fc4-75a2-b8fd-24c87398a4ff

start
ask /api/submit -d "$one"; want "accepted" 202 '"job_status":"pending"'; id=$(id_of)
ask "/api/result/$id"; want "pending" 200 '"job_status":"pending"'
case $body in *'"verdict"'*) fail "a verdict key before the end: $body" ;; esac
as_key=$other ask "/api/result/$id"; want "another project's id" 404
ask "/api/result/$absent"; want "an unknown id" 404
ask /api/submit -d "$one" -H 'Idempotency-Key: k'; want "keyed" 202; first=$(id_of)
ask /api/submit -d '{"code":"print(1)","language":"PY","stdin":""}' -H 'Idempotency-Key: "k"'; want "repeat" 202 "$first"
ask /api/submit -d "$two" -H 'Idempotency-Key: k'; want "conflict" 422 idempotency_conflict
as_key=$other ask /api/submit -d "$two" -H 'Idempotency-Key: k'; want "another project's key" 202
# two gateways' worth of concurrency: many repeats at once, one id
for _ in $(seq 20); do
    curl -s -H "X-API-Key: $key" -H 'Content-Type: application/json' -H 'Idempotency-Key: c' -d "$one" "$RUSTBOX_API/api/submit" | jq -r .id &
done >"$dir/ids"
wait $(jobs -p | grep -v "^$pid$")
[ "$(sort -u "$dir/ids" | wc -l)" = 1 ] || fail "repeats at once were told several ids"
echo "ok: 20 repeats at once, one id"
for _ in $(seq 120); do as_key=$other ask /api/submit -d "$one"; [ "$status" = 202 ] || break; done
want "trial: more than 60 a minute" 429 rate_limited
curl -s -i -H "X-API-Key: $other" -d "$one" "$RUSTBOX_API/api/submit" | grep -qi '^retry-after: [1-9]' || fail "no Retry-After"
new=$(curl -s -H "X-API-Key: $key" -H 'Content-Type: application/json' -d '{"label":"n"}' "$RUSTBOX_API/api/keys")
as_key=$(jq -r .key <<<"$new") ask /api/languages; want "a new key" 200
ask "/api/keys/$(jq -r .id <<<"$new")" -X DELETE; want "revoked" 200
as_key=$(jq -r .key <<<"$new") ask /api/languages; want "a revoked key" 401

# control: the command line's signed record is believed; true headers over another value, or no signature, are not
told=$(admin key create --project "$project" --label told --json | jq -r .key)
for _ in $(seq 50); do as_key=$told ask /api/languages; [ "$status" = 200 ] && break; sleep 0.1; done
want "a key that the command line made" 200
bus=$(sed -n 's/^brokers = //p' "$RUSTBOX_CONFIG")
kcat -C -b "$bus" -t rustbox.control -o beginning -e -q -J 2>/dev/null | jq -c 'select(.key == "'"$project"'" and (.payload | test("key.created")))' | tail -1 >"$dir/control"
forge() { # forge [HEADER TO LEAVE OUT]...: says that the project is deleted
    local part headers=()
    part=$(jq -r .partition "$dir/control")
    while read -r header; do
        case " $* " in *" ${header%%=*} "*) ;; *) headers+=(-H "$header") ;; esac
    done < <(jq -r '.headers | [range(0; length; 2) as $i | "\(.[$i])=\(.[$i + 1])"] | .[]' "$dir/control")
    printf '{"at_ns":"1","deleted":true,"event":"project.changed","plan":"trial","project":"%s","retention_class":30,"taxonomy":"standard"}' "$project" |
        kcat -P -b "$bus" -t rustbox.control -p "$part" -k "$project" "${headers[@]}"
}
forge
forge signer signature
forge type id day project origin digest signer signature
for _ in $(seq 50); do
    [ "$(kcat -C -b "$bus" -t rustbox.dead -o beginning -e -q -f '%h\n' 2>/dev/null | grep -c dead-topic=control)" = 3 ] && break
    sleep 0.1
done
ask /api/languages; want "forged control records" 200
[ "$(kcat -C -b "$bus" -t rustbox.dead -o beginning -e -q -f '%h\n' | grep -c dead-topic=control)" = 3 ] || fail "forged control records are not in dead"
echo "ok: forged control records are in dead"

# restart: nothing is forgotten (admit has stored nothing; the tail begins at its offset)
kill -TERM $pid; wait $pid || fail "SIGTERM: exit status $?"; pid=
start
ask "/api/result/$id"; want "pending after a restart" 200 '"job_status":"pending"'
ask /api/submit -d "$one" -H 'Idempotency-Key: k'; want "repeat after a restart" 202 "$first"

# the database goes away
postgres=$(cat "$dir/service/postgres/supervise/pid")
sv down "$dir/service/postgres" >/dev/null
kill -INT "$postgres" # fast: the gateway's connection would hold up a smart shutdown
for _ in $(seq 100); do kill -0 "$postgres" 2>/dev/null || break; sleep 0.1; done
ask /api/submit -d "$one"; want "accepted without the database" 202; id=$(id_of)
ask "/api/result/$id"; want "pending without the database" 200 '"job_status":"pending"'
ask "/api/result/$absent"; want "never a guessed 404" 503
ask /api/submit -d "$two" -H 'Idempotency-Key: k'; want "keyed without the database: an id of its own" 202
[ "$(id_of)" != "$first" ] || fail "the owner was guessed"
ask /api/submissions; want "a list without the database" 503
sv up "$dir/service/postgres" >/dev/null
for _ in $(seq 100); do ask /api/submissions; [ "$status" = 200 ] && break; sleep 0.1; done
want "the database is back" 200
ask "/api/result/$absent"; want "an unknown id again" 404

# the broker stops answering
broker=$(cat "$dir/service/kafka/supervise/pid")
kill -STOP "$broker"
slow=0 end=$((SECONDS + 7)) # what asks the broker blocks the loop: less and less often
while [ $SECONDS -lt $end ]; do
    begin=$(date +%s%N)
    ask /api/health
    [ $((($(date +%s%N) - begin) / 1000000)) -lt 150 ] || slow=$((slow + 1))
    sleep 0.05
done
[ $slow -ge 1 ] && [ $slow -le 4 ] || fail "of the requests for health, $slow were slow in 7 s"
echo "ok: a hanging broker was asked $slow times in 7 s"
begin=$(date +%s%N)
ask /api/submit -d "$one"; want "broker away: not acknowledged" 503
[ $((($(date +%s%N) - begin) / 1000000)) -lt 12000 ] || fail "a 503 took too long"
begin=$(date +%s%N)
ask /api/submit -d "$one"; want "broker away: the next one" 503 "nothing was accepted"
[ $((($(date +%s%N) - begin) / 1000000)) -lt 1000 ] || fail "the next 503 was not at once"
kill -CONT "$broker"
for _ in $(seq 150); do ask /api/submit -d "$one"; [ "$status" = 202 ] && break; sleep 0.2; done
want "the broker is back" 202
(ask "/api/submit?wait=true" -d "$one"; [ "$status" = 408 ] && id_of >"$dir/waited") &
waiter=$!
sleep 1
kill -TERM $pid; wait $pid || fail "SIGTERM with a waiting client: exit status $?"; pid=
wait $waiter
[ -s "$dir/waited" ] || fail "a stopping gateway did not tell the waiting client its id"
echo "ok: SIGTERM tells who waits"
