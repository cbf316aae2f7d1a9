-- Three days of submissions with all that belongs to them, by the set: :rows a day, seven tenths of them of :project.
-- One in twenty is an alias, one refused, one has a label of 25, one in a hundred a TLE, and one webhook in a thousand
-- is dead. Ids and times are those of the first hour of each day; `salt` keeps a second call's apart.
\set ON_ERROR_STOP 1
SET client_min_messages = warning;
SET search_path = rustbox;
SELECT ensure_partitions(current_date - 2, current_date + 1);

CREATE FUNCTION pg_temp.id(at timestamptz, n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || lpad(to_hex(n & 4095), 3, '0')
            || '8' || substr(md5(n::text), 1, 15))::uuid $$;
INSERT INTO projects (id, name, plan, retention_class, created_at)
SELECT pg_temp.id('2026-01-01', p), 'project ' || p, 'trial', 30, timestamptz '2026-01-01' FROM generate_series(2, 5) p
UNION ALL SELECT :'project'::uuid, 'many', 'standard', 30, '2026-01-01' ON CONFLICT DO NOTHING;

CREATE TEMP TABLE made AS
SELECT n, day, CASE p WHEN 5 THEN 7 ELSE 30 END::smallint AS class, at, decision, pg_temp.id(at, n + (day + 3 * :salt) * 10000000) AS id,
       CASE p WHEN 1 THEN :'project'::uuid ELSE pg_temp.id('2026-01-01', p) END AS project, NULL::uuid AS owner
FROM (SELECT n, day, CASE WHEN n % 10 < 7 THEN 1 ELSE n % 5 + 1 END AS p,
             (current_date - day)::timestamp AT TIME ZONE 'UTC' + n * (interval '1 hour' / :rows) AS at,
             CASE n % 20 WHEN 0 THEN 'alias' WHEN 1 THEN 'rejected' ELSE 'admit' END AS decision
      FROM generate_series(0, 2) day, generate_series(1, :rows) n) AS one;
UPDATE made SET owner = o.id FROM made o
WHERE made.decision = 'alias' AND o.day = made.day AND o.n = made.n - 10 AND o.project = made.project AND o.decision = 'admit';
UPDATE made SET decision = 'admit' WHERE owner IS NULL AND decision = 'alias';

INSERT INTO submissions (class, day, id, project_id, decision, cause, partition, log_offset, key_number, key_hash, fingerprint,
    owner_id, language, profile, lane, created_at, closed, labels)
SELECT class, current_date - day, id, project, decision, CASE decision WHEN 'rejected' THEN 'invalid' END, n % 24, n / 24, n,
    key, key, owner, CASE n % 3 WHEN 0 THEN 'c' ELSE 'python' END, 'default', 0, at, true,
    CASE WHEN n % 20 = 7 THEN ARRAY[md5((n % 500)::text)::uuid] END
FROM made, LATERAL (SELECT CASE WHEN n % 4 = 2 AND owner IS NULL THEN sha256(id::text::bytea) END AS key) k ORDER BY id;
INSERT INTO evidence (class, day, id, project_id, state, verdict, cause, language, profile, exit_code, cpu_ns, wall_ns,
    memory_peak_bytes, stdout_bytes, stderr_bytes, created_at, started_at, completed_at, key_number, sealed, body_hash, partition,
    log_offset)
SELECT class, current_date - day, id, project, 'stored', CASE n % 100 WHEN 10 THEN 'TLE' ELSE 'AC' END, 'ok', 'python', 'default', 0,
    1, 1, 1, 1, 1, at, at, at, n, decode(repeat(md5(n::text), 20), 'hex'), sha256('x'), n % 24, n / 24
FROM made WHERE owner IS NULL ORDER BY id;
INSERT INTO usage
SELECT project, current_date - day, kind, 1
FROM (SELECT DISTINCT project FROM made) p, generate_series(0, 400) day, unnest(ARRAY['requests', 'cpu_ns', 'requests_month']) kind
WHERE kind <> 'requests' OR day < 3
ON CONFLICT DO NOTHING;

-- Webhooks: endpoints of submissions, told and gone; messages to the endpoints of projects, and their attempts.
INSERT INTO webhook_endpoints (id, project_id, kind, events, sealed, created_at, published_version)
SELECT pg_temp.id('2026-01-02', e), pg_temp.id('2026-01-01', e), 'project', '{submission.completed}', 'x', '2026-01-02', 1
FROM generate_series(2, 5) e ON CONFLICT DO NOTHING;
INSERT INTO webhook_endpoints (id, project_id, kind, submission_id, events, created_at, version, published_version, deleted_at)
SELECT pg_temp.id(at + interval '1 s', n + (day + 3 * :salt) * 10000000), project, 'submission', id, '{submission.completed}', at, 2, 2, at
FROM made WHERE n % 10 = 3;
-- As relay leaves them: published after they were due.
BEGIN;
INSERT INTO outbox (submission_id, event, endpoint_id, class, day, evidence_id, published_at, project_id, message_id, state,
    attempts, last_at, last_status)
SELECT made.id, 'submission.completed', w.id, class, current_date - day, coalesce(owner, made.id), NULL, project,
    md5(made.id::text || w.id::text)::uuid, CASE n % 1000 WHEN 2 THEN 'dead' ELSE 'delivered' END, 1, at, 200
FROM made JOIN webhook_endpoints w ON w.project_id = made.project AND w.kind = 'project' WHERE n % 2 = 0 AND w.deleted_at IS NULL
ORDER BY made.id;
UPDATE outbox SET published_at = last_at WHERE published_at IS NULL AND last_at IS NOT NULL;
COMMIT;
INSERT INTO webhook_attempts (message_id, generation, attempt, project_id, endpoint_id, at, address, port, status, error,
    latency_us, outcome)
SELECT message_id, 0, 0, project_id, endpoint_id, last_at, '127.0.0.1', 443, 200, 'none', 1000, state
FROM outbox o WHERE message_id IS NOT NULL AND attempts = 1 AND state <> 'pending' ON CONFLICT DO NOTHING;
DROP TABLE made;
