#!/usr/bin/env bash
# ops/lib/stack, as ops/up uses it, without Rustbox's own processes: makes a state directory, is repeatable, restarts what
# is killed, keeps data over down and up, survives the loss of its runsvdir, moves ports, removes everything.
set -euo pipefail
cd "$(dirname "$0")/../.."
[ "$(id -u)" -eq 0 ] || { echo "skipped: needs root (system user, supervised services)"; exit 77; }
[ -x /usr/bin/runsvdir ] && [ -x /usr/lib/postgresql/15/bin/initdb ] || { echo "skipped: runit or postgresql-15 is missing (ops/test installs them)"; exit 77; }
. ops/kafka/env.sh
kafka_have_libs || { echo "skipped: no broker in $(kafka_libs) (ops/kafka/fetch)"; exit 77; }

dir=$(mktemp -d /tmp/rbstack.XXXXXX)
trap 'ops/lib/stack down "$dir" --purge >/dev/null 2>&1 || true' EXIT
fail() { echo "FAILED: $*"; exit 1; }
up() { ops/lib/stack up "$dir" --test --infra "$@" || fail "up $*"; }
pid() { cat "$dir/service/$1/supervise/pid"; }
sql() { psql -X -q -At -v ON_ERROR_STOP=1 "${RUSTBOX_DATABASE:?}" -c "$1"; }
broker_answers() { (exec 3<>"/dev/tcp/127.0.0.1/${RUSTBOX_BROKERS#*:}") 2>/dev/null; }
load() { set -a; . "$dir/dev.env"; set +a; }

refused() { local said; said=$("${@:2}" 2>&1) && fail "$* succeeded"; [[ $said == *"$1"* ]] || fail "not refused with '$1': $said"; }
# A directory of somebody else's, here with a service/ and secrets/ as /etc may have them, is never taken for a state directory.
other=$(mktemp -d /tmp/rbother.XXXXXX)
mkdir "$other/service" "$other/secrets"
echo precious >"$other/passwd"
refused "no state directory" ops/lib/stack down "$other" --purge
refused "holds passwd" ops/lib/stack up "$other" --test --infra
[ "$(cat "$other/passwd" && ls -A "$other" | tr '\n' ' ')" = "precious
passwd secrets service " ] || fail "a directory of somebody else's was changed"
rm -r "$other"
refused "--bin needs a value" ops/lib/stack up "$dir" --bin
refused "unknown argument 'now'" ops/status now

up
load
refused "name of a service" ops/lib/stack restart "$dir" nothing
[ "$(stat -c %a "$dir/dev.env")" = 600 ] || fail "dev.env can be read by others"
[ "$(stat -c %U "$dir/service" "$dir/bin" "$dir/log" "$dir/box" | sort -u)" = root ] || fail "the system user could change what root runs"
postgres=$(pid postgres) kafka=$(pid kafka)
up
[ "$(pid postgres) $(pid kafka)" = "$postgres $kafka" ] || fail "a second up restarted something"
[ "$(ps -o user= -p "$postgres" -p "$kafka" | sort -u)" = rustbox ] || fail "a server runs as another user than rustbox"

sql "create table kept (n int); insert into kept values (42)"
kill -9 "$postgres" "$kafka"
for _ in $(seq 150); do sql "select 1" >/dev/null 2>&1 && broker_answers && break; sleep 0.1; done
[ "$(sql "select n from kept")" = 42 ] || fail "the row did not survive a kill"
broker_answers || fail "the broker did not come back after a kill"
[ "$(pid postgres)" != "$postgres" ] && [ "$(pid kafka)" != "$kafka" ] || fail "old processes"
[ "$(cat "$dir"/log/*/ends | wc -l)" -ge 2 ] || fail "ends were not noted"

ops/lib/stack down "$dir"
broker_answers && fail "down left the broker running"
! sql "select 1" >/dev/null 2>&1 || fail "down left PostgreSQL running"
up
[ "$(sql "select n from kept")" = 42 ] || fail "the row did not survive down and up"

runsvdir=$(cat "$dir/runsvdir.pid")
kill -9 "$runsvdir"
up --kafka-port "$(. ops/lib/common.sh && free_port)"
load
broker_answers || fail "no broker on the port it was moved to"
[ "$(cat "$dir/runsvdir.pid")" != "$runsvdir" ] || fail "no new supervisor"

echo kept >"$dir/notes"
ops/lib/stack down "$dir" --purge
[ "$(ls -A "$dir")" = notes ] || fail "purge left or took what it should not: $(ls -A "$dir" 2>&1)"
rm -r "$dir"
echo "passed"
