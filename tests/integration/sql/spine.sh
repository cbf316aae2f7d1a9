#!/bin/bash
# The migrations on a real PostgreSQL: partitions, rights of every role, tenants' rows.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
failures=0
psql=(/usr/lib/postgresql/15/bin/psql -X -q -A -t -v ON_ERROR_STOP=1 -v VERBOSITY=verbose)
run() { "${psql[@]}" "$@" 2>&1; }
fail() { echo "FAILED: $*" >&2; failures=$((failures + 1)); }
# wants EXPECTED WHAT psql-arguments...: the whole output, or an SQLSTATE
wants() {
    local expected=$1 what=$2 got
    shift 2
    got=$(run "$@") || true
    [[ $got == "$expected" || $got == *"ERROR:  $expected: "* ]] || fail "$what: wanted '$expected', got '$got'"
}
a=00000000-0000-7000-8000-00000000000a b=00000000-0000-7000-8000-00000000000b
key="decode(repeat('ab', 32), 'hex')"

# ---- partitions
wants 4 'a day of four classes' -U rustbox_admit -c "SELECT rustbox.ensure_partitions('2026-11-23', '2026-11-23')"
wants 0 'repeated' -U rustbox_persist -c "SELECT rustbox.ensure_partitions('2026-11-23', '2026-11-23')"
wants 32 'a week ahead' -U rustbox_admit -c "SELECT rustbox.ensure_partitions('2026-11-22', '2026-11-30')"
for range in "'2026-11-23', '2026-11-22'" "'2026-01-01', '2027-06-01'" "'1999-01-01', '1999-01-01'" \
             "'2100-01-01', '2100-01-01'" "NULL, '2026-11-23'"; do
    wants 22023 "absurd range $range" -U rustbox_admit -c "SELECT rustbox.ensure_partitions($range)"
done
run -U rustbox_admit -c "SELECT rustbox.ensure_partitions('2026-12-01', '2026-12-08')" >/dev/null &
run -U rustbox_persist -c "SELECT rustbox.ensure_partitions('2026-12-01', '2026-12-08')" >/dev/null || fail 'two at once (1)'
wait $! || fail 'two at once (2)'
wants 32 'both made each day once' -c "SELECT count(*) FROM rustbox.partition_days WHERE day >= '2026-12-01'"

insert() { # class day id: as admit
    echo "INSERT INTO rustbox.submissions (class, day, id, project_id, decision, partition, log_offset, key_number,
          lane, created_at, closed) VALUES ($1, '$2', '$3', '$4', 'admit', 0, 0, 0, 0, now(), false)"
}
evidence() {
    echo "INSERT INTO rustbox.evidence (class, day, id, project_id, state, verdict, sealed)
          VALUES ($1, '$2', '$3', '$4', 'stored', 'AC', 'x')"
}
gone=00000000-0000-7000-8000-0000000000ff
wants 23514 'no partition: refused, no default' -U rustbox_admit -c "$(insert 30 2026-10-01 $gone $a)"
wants 23514 'no such class' -U rustbox_admit -c "$(insert 31 2026-11-23 $gone $a)"
wants t 'a day dropped' -U rustbox_compact -c "SELECT rustbox.drop_partitions(30::smallint, '2026-11-22')"
wants f 'dropped again' -U rustbox_compact -c "SELECT rustbox.drop_partitions(30::smallint, '2026-11-22')"
wants t 'a day that never was, dropped' -U rustbox_compact -c "SELECT rustbox.drop_partitions(30::smallint, '2026-10-01')"
wants 3 'the dropped day is not made anew' -U rustbox_admit -c "SELECT rustbox.ensure_partitions('2026-10-01', '2026-10-01')"
wants 0 'nor is this one' -U rustbox_admit -c "SELECT rustbox.ensure_partitions('2026-11-22', '2026-11-22')"
wants 23514 'a replay into the dropped day' -U rustbox_admit -c "$(insert 30 2026-11-22 $gone $a)"
wants 23514 'a verdict into the dropped day' -U rustbox_persist -c "$(evidence 30 2026-11-22 $gone $a)"
wants '' 'another class keeps the day' -U rustbox_admit -c "$(insert 90 2026-11-22 $gone $a)"
run -c "DELETE FROM rustbox.submissions" >/dev/null
wants '{toast_tuple_target=8160}' 'rows stay whole' -c "SELECT reloptions FROM pg_class WHERE relname = 'evidence_30_20261123'"
wants e 'ciphertext is not compressed' -c "SELECT attstorage FROM pg_attribute
    WHERE attrelid = 'rustbox.evidence_30_20261123'::regclass AND attname = 'sealed'"

# ---- two tenants, then the table of rights
run -c "
INSERT INTO rustbox.projects VALUES ('$a', 'a', 'trial', 30, 'standard', now()), ('$b', 'b', 'trial', 30, 'standard', now());
INSERT INTO rustbox.api_keys VALUES ('$a', '$a', sha256('a'), 'live', '', 'aaaa', now()), ('$b', '$b', sha256('b'), 'live', '', 'bbbb', now());
INSERT INTO rustbox.usage VALUES ('$a', '2026-11-23', 'requests', 1), ('$b', '2026-11-23', 'requests', 1), ('$b', '2026-11-23', 'cpu_ns', 1);
INSERT INTO rustbox.webhook_endpoints (id, project_id, kind, events, sealed, created_at)
    VALUES ('$a', '$a', 'project', '{}', 'x', now()), ('$b', '$b', 'project', '{}', 'x', now());
INSERT INTO rustbox.outbox (submission_id, event, endpoint_id, class, day, evidence_id, project_id)
    VALUES ('$a', 'e', '$a', 30, '2026-11-23', '$a', '$a'), ('$b', 'e', '$b', 30, '2026-11-23', '$b', '$b');
INSERT INTO rustbox.webhook_attempts (message_id, generation, attempt, project_id, endpoint_id, at, error, latency_us, outcome)
    VALUES ('$a', 0, 0, '$a', '$a', now(), 'none', 1, 'delivered'), ('$b', 0, 0, '$b', '$b', now(), 'none', 1, 'delivered');
$(insert 30 2026-11-23 $a $a); $(insert 30 2026-11-23 $b $b); $(evidence 30 2026-11-23 $a $a); $(evidence 30 2026-11-23 $b $b)"
run -U rustbox_admin -c "INSERT INTO rustbox.consumer_offsets VALUES ('submissions', 0, 0), ('verdicts', 0, 0), ('attempts', 0, 0)"
wrong=$(run -c 'SET search_path = public, rustbox' -f "$here/rights.sql" -c "SET rustbox.project = '$a'" -c "
    WITH tried AS (SELECT *, try(role, statement) AS got FROM rights ORDER BY line)
    SELECT 'rustbox_' || role || ' wanted ' || wants || ' got ' || got || ': ' || statement FROM tried
    WHERE NOT (got = wants OR wants = 'ok' AND length(got) < 5)" 2>&1)
[ -z "$wrong" ] || fail "rights:
$wrong"
for role in gateway admit persist relay compact balance; do
    wants 42501 "$role does not become the owner" -U rustbox_$role -c 'SET ROLE rustbox_owner'
done

# ---- tenants
mine="SELECT id FROM rustbox.submissions"
wants 42704 'no tenant set: an error' -U rustbox_gateway -c "$mine"
wants 22P02 'no tenant after a transaction that had one: an error' -U rustbox_gateway \
    -c "BEGIN; SET LOCAL rustbox.project = '$a'; $mine; COMMIT; $mine"
for table in evidence usage projects api_keys webhook_endpoints outbox webhook_attempts; do
    case $table in usage | outbox | webhook_attempts) column=project_id ;; *) column=id ;; esac
    wants 42704 "no tenant set, $table" -U rustbox_gateway -c "SELECT $column FROM rustbox.$table"
    got=$(run -U rustbox_gateway -c "SET rustbox.project = '$a'" -c "SELECT DISTINCT $column FROM rustbox.$table")
    [ "$got" = $a ] || fail "tenant a sees in $table: $got"
done
got=$(run -U rustbox_gateway -c "SET rustbox.project = '$a'" -c "$mine WHERE id = '$b'")
[ -z "$got" ] || fail "tenant a finds b's submission by its id"
got=$(run -U rustbox_gateway -c "SET rustbox.project = '$a'" -c "EXPLAIN $mine WHERE project_id = '$a' AND key_hash = $key AND day BETWEEN '2026-11-22' AND '2026-11-24'")
[ "$(grep -c 'key_hash_day_idx' <<<"$got")" -ge 11 ] || fail "a key's owner is not found by index on the days asked for alone: $got"

# ---- migrations after 0004 on a database that is in use: everything is kept, and every index stands
migrations=("$here"/../../../schemas/sql/[0-9]*.sql)
counts="SELECT string_agg(t || ' ' || (xpath('/row/c/text()', query_to_xml('SELECT count(*) AS c FROM rustbox.' || t, false, true, '')))[1]::text, ', ')
    FROM unnest(ARRAY['projects', 'submissions', 'evidence', 'webhook_endpoints', 'outbox', 'webhook_attempts', 'partition_days']) t"
run -d postgres -c 'CREATE DATABASE earlier OWNER rustbox_owner' >/dev/null
for at in "${!migrations[@]}"; do
    if [ "$at" = 4 ]; then
        run -d earlier -v rows=100 -v project=$a -v salt=0 -f "$here/many.sql" >/dev/null || fail 'filling a database of version 4'
        before=$(run -d earlier -c "$counts")
        run -d earlier -c "DELETE FROM rustbox.usage WHERE kind = 'requests' AND day > current_date - 2"
    fi
    got=$(run -d earlier -U rustbox_admin -1 -f "${migrations[at]}") || fail "${migrations[at]##*/} on a database in use: $got"
done
[[ $before == *'submissions 300, evidence'* ]] || fail "a database of version 4 was not filled: $before"
wants "$before" 'rows before and after the migrations' -d earlier -c "$counts"
wants 0 'days of submissions without a row of requests' -d earlier -c "SELECT count(*) FROM rustbox.submissions s WHERE NOT EXISTS
    (SELECT FROM rustbox.usage u WHERE u.project_id = s.project_id AND u.day = s.day AND kind = 'requests')"
wants 0 'tables whose owner reads tenant rows' -d earlier -c "SELECT count(*) FROM pg_class WHERE relrowsecurity AND NOT relforcerowsecurity"
wants 0 'indexes that do not stand' -d earlier -c 'SELECT count(*) FROM pg_index WHERE NOT indisvalid'

# ---- again: roles are idempotent
run -f "$here/../../../schemas/sql/roles.sql" >/dev/null || fail 'roles.sql a second time'
wants "${#migrations[@]}" 'version' -U rustbox_balance -c "SELECT max(version) FROM rustbox.migrations"
[ $failures = 0 ] && echo "sql spine: all as it should be" || exit 1
