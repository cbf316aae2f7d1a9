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
status='' body='' step=none
cleanup() {
    local result=$?
    if [ $result != 0 ] && [ $result != 77 ]; then
        echo "ended with $result after '$step'; last answer: ${status:-none} ${body:0:500}"
        [ ! -f "$dir/gateway.log" ] || { echo "the gateway's log:"; tail -60 "$dir/gateway.log"; }
    fi
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
    for _ in $(seq 300); do
        [ "$(curl -s -o /dev/null -w '%{http_code}' "$RUSTBOX_API/api/health/ready")" = 200 ] && return
        sleep 0.1
    done
    fail "the gateway is not ready: $(tail -3 "$dir/gateway.log")"
}
# Whatever ends the test early says the last step, what was received and what the gateway logged.
fail() { echo "FAILED: $*"; exit 1; }
ask() { # ask PATH [curl options]: fills status and body
    local path=$1 out
    shift
    out=$(curl -s -m 60 -w '\n%{http_code}' -H "X-API-Key: ${as_key:-$key}" -H 'Content-Type: application/json' "$@" "$RUSTBOX_API$path") || true
    status=${out##*$'\n'} body=${out%$'\n'*}
}
want() { # want WHAT STATUS [TEXT]
    [ "$status" = "$2" ] || fail "$1: status $status, wanted $2: $body"
    [ -z "${3:-}" ] || case $body in *"$3"*) ;; *) fail "$1: no '$3' in $body" ;; esac
    step=$1
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
curl -s -D "$dir/heads" -H "X-API-Key: $other" -H 'Content-Type: application/json' -d "$one" \
    "$RUSTBOX_API/api/submit?[1-150]" >"$dir/bodies" # one connection: faster than the bucket fills
tr -d '\r' <"$dir/heads" | awk '/^HTTP/ { refused = $2 == 429; if (refused) count++ } refused && /^[Rr]etry-[Aa]fter: [1-9]/ { told++ }
    END { print count + 0, told + 0; exit !(count && count == told) }' || fail "more than 60 a minute: 429 always with Retry-After"
grep -q rate_limited "$dir/bodies" || fail "no rate_limited"
echo "ok: trial: more than 60 a minute"
new=$(curl -s -H "X-API-Key: $key" -H 'Content-Type: application/json' -d '{"label":"n"}' "$RUSTBOX_API/api/keys")
as_key=$(jq -r .key <<<"$new") ask /api/languages; want "a new key" 200
ask "/api/keys/$(jq -r .id <<<"$new")" -X DELETE; want "revoked" 200
as_key=$(jq -r .key <<<"$new") ask /api/languages; want "a revoked key" 401 "unknown or revoked"
as_key=${key%?} ask /api/languages; want "a key cut short" 401 malformed

# control: the command line's signed record is believed; true headers over another value, or no signature, are not
told=$(admin key create --project "$project" --label told --json | jq -r .key)
for _ in $(seq 300); do as_key=$told ask /api/languages; [ "$status" = 200 ] && break; sleep 0.1; done
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
for _ in $(seq 150); do
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
for _ in $(seq 300); do ask /api/submissions; [ "$status" = 200 ] && break; sleep 0.1; done
want "the database is back" 200
ask "/api/result/$absent"; want "an unknown id again" 404

# the broker stops answering
broker=$(cat "$dir/service/kafka/supervise/pid")
kill -STOP "$broker"
metric() { curl -s "$RUSTBOX_ADMIN/metrics" | awk -v name="rustbox_$1" '$1 == name { print $2 }'; }
begin=$SECONDS silent=$(metric broker_silent_total) # what asks the broker blocks the loop: ever less often
while [ $SECONDS -lt $((begin + 13)) ]; do ask /api/health; sleep 0.05; done
asked=$(($(metric broker_silent_total) - ${silent:-0})) most=$((3 + (SECONDS - begin - 2) / 4)) # pauses: 2, 4, 4 s ..., and one to spare
[ $asked -ge 1 ] && [ $asked -le $most ] || fail "a hanging broker was asked $asked times in $((SECONDS - begin)) s"
echo "ok: a hanging broker was asked $asked times in $((SECONDS - begin)) s"
ask /api/submit -d "$one"; want "broker away: not acknowledged" 503 "no acknowledgement in time"
ask /api/submit -d "$one"; want "broker away: the next one, at once" 503 "nothing was accepted"
kill -CONT "$broker"
for _ in $(seq 150); do ask /api/submit -d "$one"; [ "$status" = 202 ] && break; sleep 0.2; done
want "the broker is back" 202
for _ in $(seq 30); do ask "/api/result/$absent"; [ "$status" = 503 ] || break; sleep 1; done
want "an unknown id once more" 404 # while the broker's partitions come back: 503, never a guess
(ask "/api/submit?wait=true" -d "$one"; echo "$status $body" >"$dir/waited") &
waiter=$!
for _ in $(seq 300); do [ "$(metric waiting_requests)" = 1 ] && break; sleep 0.1; done
kill -TERM $pid; wait $pid || fail "SIGTERM with a waiting client: exit status $?"; pid=
wait $waiter
read -r status body <"$dir/waited"
want "SIGTERM with a waiting client: its id" 408 '{"id":"0'
echo "ok: SIGTERM tells who waits"
