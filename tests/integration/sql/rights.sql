-- Who may do what: one row per role and statement. `wants` is what must come of it: ok = at least one row or no
-- rows to count, 0 = no row, else the SQLSTATE (42501 = no right, or refused by a row policy).
-- Each statement runs as the role, in a subtransaction that is always rolled back.
CREATE TABLE rights (line serial, role text, wants text, statement text);
INSERT INTO rights (role, wants, statement) VALUES
-- nobody but its own functions makes or drops partitions, or reads them by their own names
('gateway', '42501', $$SELECT rustbox.ensure_partitions('2026-01-01', '2026-01-01')$$),
('relay', '42501', $$SELECT rustbox.ensure_partitions('2026-01-01', '2026-01-01')$$),
('admit', 'ok', $$SELECT rustbox.ensure_partitions('2026-01-01', '2026-01-01')$$),
('persist', 'ok', $$SELECT rustbox.ensure_partitions('2026-01-01', '2026-01-01')$$),
('admit', '42501', $$SELECT rustbox.drop_partitions(30::smallint, '2026-01-01')$$),
('persist', '42501', $$SELECT rustbox.drop_partitions(30::smallint, '2026-01-01')$$),
('compact', 'ok', $$SELECT rustbox.drop_partitions(30::smallint, '2026-01-01')$$),
('gateway', '42501', $$SELECT * FROM submissions_30$$),
('admit', '42501', $$SELECT * FROM submissions_30$$),
('persist', '42501', $$SELECT * FROM evidence_30$$),
('gateway', '42501', $$CREATE TABLE rustbox.x (a int)$$),
('admit', '42501', $$DROP TABLE rustbox.outbox$$),
('persist', '42501', $$ALTER TABLE rustbox.evidence NO FORCE ROW LEVEL SECURITY$$),
('admit', '42501', $$INSERT INTO partition_days VALUES (30, '2030-01-01', true)$$),
('admit', '42501', $$UPDATE partition_days SET dropped = false$$),
-- gateway: its tenant, read only; keys of all tenants through one function
('gateway', '1', $$SELECT * FROM submissions$$),
('gateway', '1', $$SELECT * FROM evidence$$),
('gateway', '1', $$SELECT * FROM usage WHERE kind = 'requests'$$),
('gateway', '1', $$SELECT id FROM projects$$),
('gateway', '1', $$SELECT id FROM api_keys$$),
('gateway', '42501', $$SELECT hash FROM api_keys$$),
('gateway', '2', $$SELECT * FROM load_keys()$$),
('admit', '42501', $$SELECT * FROM load_keys()$$),
('persist', '42501', $$SELECT * FROM load_keys()$$),
('gateway', '42501', $$INSERT INTO submissions SELECT * FROM submissions$$),
('gateway', '42501', $$UPDATE submissions SET closed = true$$),
('gateway', '42501', $$DELETE FROM submissions$$),
('gateway', '42501', $$DELETE FROM evidence$$),
('gateway', '42501', $$UPDATE usage SET amount = 0$$),
('gateway', '42501', $$UPDATE projects SET plan = 'unlimited'$$),
('gateway', '42501', $$INSERT INTO api_keys SELECT * FROM api_keys$$),
('gateway', 'ok', $$UPDATE api_keys SET revoked_at = now() WHERE kind = 'live'$$),
('gateway', '42501', $$UPDATE api_keys SET hash = 'x'$$),
('gateway', '42501', $$INSERT INTO api_keys (id, project_id, hash, kind, label, hint, created_at)
  SELECT gen_random_uuid(), gen_random_uuid(), sha256('x'), 'live', '', '', now()$$),
('gateway', '42501', $$UPDATE consumer_offsets SET next_offset = 0$$),
('gateway', 'ok', $$SELECT * FROM consumer_offsets$$),
-- webhooks: the tenant's endpoints and messages
('gateway', '1', $$SELECT * FROM outbox$$),
('gateway', '1', $$SELECT * FROM webhook_endpoints$$),
('gateway', '1', $$SELECT * FROM webhook_attempts$$),
('gateway', '1', $$UPDATE webhook_endpoints SET version = version + 1$$),
('gateway', '1', $$UPDATE outbox SET generation = generation + 1, published_at = NULL$$),
('gateway', '42501', $$UPDATE webhook_endpoints SET published_version = 9$$),
('gateway', '42501', $$UPDATE webhook_endpoints SET project_id = gen_random_uuid()$$),
('gateway', '42501', $$DELETE FROM webhook_endpoints$$),
('gateway', 'ok', $$INSERT INTO webhook_endpoints (id, project_id, kind, events, sealed, created_at)
  VALUES (gen_random_uuid(), current_setting('rustbox.project')::uuid, 'project', '{}', 'x', now())$$),
('gateway', '42501', $$INSERT INTO webhook_endpoints (id, project_id, kind, events, sealed, created_at)
  VALUES (gen_random_uuid(), '00000000-0000-7000-8000-00000000000b', 'project', '{}', 'x', now())$$),
('gateway', 'ok', $$INSERT INTO outbox (submission_id, event, endpoint_id, project_id, data)
  VALUES (gen_random_uuid(), 'webhook.test', gen_random_uuid(), current_setting('rustbox.project')::uuid, '{}')$$),
('gateway', '42501', $$INSERT INTO outbox (submission_id, event, endpoint_id, project_id, data)
  VALUES (gen_random_uuid(), 'submission.completed', gen_random_uuid(), current_setting('rustbox.project')::uuid, '{}')$$),
('gateway', '42501', $$INSERT INTO outbox (submission_id, event, endpoint_id, project_id, data)
  VALUES (gen_random_uuid(), 'webhook.test', gen_random_uuid(), '00000000-0000-7000-8000-00000000000b', '{}')$$),
('gateway', '42501', $$UPDATE outbox SET message_id = gen_random_uuid()$$),
('gateway', '42501', $$DELETE FROM outbox$$),
('gateway', '42501', $$UPDATE webhook_attempts SET status = 200$$),
('gateway', '42501', $$INSERT INTO webhook_attempts SELECT * FROM webhook_attempts$$),
-- admit
('admit', 'ok', $$SELECT id, plan, deleted_at FROM projects$$),
('admit', '42501', $$SELECT name FROM projects$$),
('admit', '42501', $$UPDATE projects SET plan = 'unlimited'$$),
('admit', '42501', $$SELECT id FROM api_keys$$),
('admit', '2', $$SELECT id FROM submissions FOR SHARE$$),
('admit', '42501', $$UPDATE submissions SET decision = 'admit'$$),
('admit', '42501', $$DELETE FROM submissions$$),
('admit', '42501', $$SELECT sealed FROM evidence$$),
('admit', '42501', $$INSERT INTO evidence SELECT * FROM evidence$$),
('admit', '42501', $$UPDATE evidence SET state = 'erased'$$),
('admit', 'ok', $$UPDATE usage SET amount = amount + 1 WHERE kind = 'requests'$$),
('admit', '42501', $$UPDATE usage SET amount = 0 WHERE kind = 'cpu_ns'$$),
('admit', '42501', $$INSERT INTO usage VALUES ('00000000-0000-0000-0000-000000000001', '2026-01-01', 'cpu_ns', 1)$$),
('admit', '42501', $$UPDATE usage SET kind = 'cpu_ns'$$),
('admit', '42501', $$DELETE FROM usage$$),
('admit', 'ok', $$UPDATE consumer_offsets SET next_offset = 1 WHERE topic = 'submissions'$$),
('admit', '0', $$UPDATE consumer_offsets SET next_offset = 1 WHERE topic = 'verdicts'$$),
('admit', '42501', $$UPDATE consumer_offsets SET topic = 'verdicts'$$),
('admit', '42501', $$INSERT INTO consumer_offsets VALUES ('submissions', 99, 0)$$),
('admit', '42501', $$DELETE FROM consumer_offsets$$),
('admit', 'ok', $$INSERT INTO outbox (submission_id, event, endpoint_id, class, day, evidence_id, project_id)
  VALUES (gen_random_uuid(), 'e', gen_random_uuid(), 30, '2026-11-23', gen_random_uuid(), gen_random_uuid())$$),
('admit', 'ok', $$INSERT INTO webhook_endpoints (id, project_id, kind, submission_id, events, sealed, created_at)
  VALUES (gen_random_uuid(), '00000000-0000-7000-8000-00000000000a', 'submission', gen_random_uuid(), '{}', 'x', now())$$),
('admit', '42501', $$INSERT INTO webhook_endpoints (id, project_id, kind, events, sealed, created_at)
  VALUES (gen_random_uuid(), '00000000-0000-7000-8000-00000000000a', 'project', '{}', 'x', now())$$),
('admit', '42501', $$UPDATE webhook_endpoints SET disabled_at = now()$$),
('admit', '42501', $$UPDATE outbox SET published_at = now()$$),
('admit', '42501', $$DELETE FROM outbox$$),
-- persist
('persist', '42501', $$SELECT fingerprint FROM submissions$$),
('persist', '42501', $$SELECT id FROM projects$$),
('persist', '42501', $$SELECT id FROM api_keys$$),
('persist', '2', $$UPDATE submissions SET closed = true$$),
('persist', '42501', $$UPDATE submissions SET decision = 'admit'$$),
('persist', '42501', $$INSERT INTO submissions SELECT * FROM submissions$$),
('persist', 'ok', $$INSERT INTO evidence (class, day, id, project_id, state) VALUES (30, '2026-11-23', gen_random_uuid(), gen_random_uuid(), 'erased')$$),
('persist', '42501', $$UPDATE evidence SET verdict = 'AC'$$),
('persist', '42501', $$DELETE FROM evidence$$),
('persist', '42501', $$SELECT sealed FROM evidence$$),
('persist', 'ok', $$UPDATE usage SET amount = amount + 1$$),
('persist', '0', $$UPDATE usage SET amount = 0 WHERE kind = 'requests'$$),
('persist', '42501', $$INSERT INTO usage VALUES ('00000000-0000-0000-0000-000000000001', '2026-01-01', 'requests', 1)$$),
('persist', '0', $$UPDATE consumer_offsets SET next_offset = 1 WHERE topic = 'submissions'$$),
('persist', 'ok', $$UPDATE consumer_offsets SET next_offset = 1 WHERE topic = 'verdicts'$$),
('persist', '42501', $$SELECT evidence_id FROM outbox$$),
('persist', 'ok', $$UPDATE consumer_offsets SET next_offset = 1 WHERE topic = 'attempts'$$),
('persist', '2', $$UPDATE outbox SET state = 'delivered', attempts = 1 WHERE generation = 0$$),
('persist', '42501', $$UPDATE outbox SET published_at = NULL$$),
('persist', '42501', $$UPDATE outbox SET generation = 1$$),
('persist', '2', $$UPDATE webhook_endpoints SET disabled_at = now(), disabled_reason = 'x', version = version + 1$$),
('persist', '2', $$UPDATE webhook_endpoints SET failing_since = now()$$),
('persist', 'ok', $$SELECT endpoint_id, at, outcome FROM webhook_attempts$$),
('persist', '42501', $$SELECT address FROM webhook_attempts$$),
('persist', '42501', $$UPDATE webhook_endpoints SET events = '{}'$$),
('persist', '42501', $$INSERT INTO webhook_endpoints SELECT * FROM webhook_endpoints$$),
('persist', 'ok', $$INSERT INTO webhook_attempts (message_id, generation, attempt, project_id, endpoint_id, at, error, latency_us, outcome)
  VALUES (gen_random_uuid(), 0, 0, gen_random_uuid(), gen_random_uuid(), now(), 'none', 1, 'delivered')$$),
('persist', '42501', $$UPDATE webhook_attempts SET status = 200$$),
('persist', '42501', $$SELECT address FROM webhook_attempts$$),
-- relay
('relay', 'ok', $$SELECT * FROM outbox WHERE published_at IS NULL FOR UPDATE SKIP LOCKED$$),
('relay', '42501', $$INSERT INTO outbox SELECT * FROM outbox$$),
('relay', '2', $$SELECT id, key_number FROM submissions$$),
('relay', '42501', $$SELECT key_hash FROM submissions$$),
('relay', '42501', $$UPDATE submissions SET closed = true$$),
('relay', '2', $$UPDATE webhook_endpoints SET published_version = version$$),
('relay', '42501', $$UPDATE webhook_endpoints SET sealed = 'x'$$),
('relay', '42501', $$UPDATE outbox SET generation = 1$$),
('relay', '42501', $$SELECT * FROM webhook_attempts$$),
('relay', '42501', $$UPDATE consumer_offsets SET next_offset = 1$$),
('relay', '42501', $$UPDATE evidence SET verdict = 'AC'$$),
('relay', '42501', $$SELECT amount FROM usage$$),
-- compact: erases, never writes a verdict
('compact', '42501', $$INSERT INTO submissions SELECT * FROM submissions$$),
('compact', '42501', $$DELETE FROM submissions$$),
('compact', 'ok', $$UPDATE submissions SET labels = NULL$$),
('persist', '42501', $$SELECT labels FROM submissions$$),
('balance', '42501', $$SELECT labels FROM submissions$$),
('admit', '42501', $$UPDATE submissions SET labels = NULL$$),
('admit', '23514', $$INSERT INTO submissions (class, day, id, project_id, decision, partition, log_offset, key_number, lane, created_at, closed, labels)
  SELECT class, day, gen_random_uuid(), project_id, 'admit', 0, 0, 0, 0, now(), false, '{}' FROM submissions$$),
('compact', 'ok', $$UPDATE evidence SET state = 'erased', verdict = NULL, sealed = NULL, body_hash = NULL$$),
('compact', '42501', $$UPDATE evidence SET verdict = 'AC'$$),
('compact', '42501', $$INSERT INTO evidence SELECT class, day, gen_random_uuid(), project_id, state, verdict, cause, language, profile, exit_code, signal, cpu_ns, wall_ns, memory_peak_bytes, stdout_bytes, stderr_bytes, created_at, started_at, completed_at, key_number, sealed FROM evidence$$),
('compact', '42501', $$UPDATE consumer_offsets SET next_offset = 1$$),
('compact', '42501', $$SELECT id FROM api_keys$$),
('compact', '42501', $$SELECT sealed FROM webhook_endpoints$$),
('balance', '42501', $$SELECT id FROM webhook_endpoints$$),
('admit', '42501', $$SELECT address FROM webhook_attempts$$),
-- balance: ids and states
('balance', '2', $$SELECT id, decision, owner_id FROM submissions$$),
('balance', '2', $$SELECT id, state, verdict FROM evidence$$),
('balance', '42501', $$SELECT key_hash FROM submissions$$),
('balance', '42501', $$SELECT message FROM submissions$$),
('balance', '42501', $$SELECT sealed FROM evidence$$),
('balance', '42501', $$SELECT id FROM projects$$),
('balance', '42501', $$UPDATE submissions SET closed = true$$),
-- admin: projects and keys, no submissions
('admin', '2', $$SELECT * FROM projects$$),
('admin', 'ok', $$UPDATE api_keys SET revoked_at = now()$$),
('admin', '42501', $$UPDATE api_keys SET hash = 'x'$$),
('admin', '42501', $$DELETE FROM projects$$),
('admin', '42501', $$SELECT id FROM submissions$$),
('admin', '0', $$UPDATE outbox SET state = 'pending', generation = generation + 1$$),
('admin', '42501', $$UPDATE outbox SET message_id = gen_random_uuid()$$),
('admin', '42501', $$SELECT data FROM outbox$$),
('admin', 'ok', $$SELECT endpoint_id FROM outbox$$),
('admin', '42501', $$SELECT id FROM evidence$$),
('admin', 'ok', $$INSERT INTO consumer_offsets VALUES ('audit', 0, 0)$$),
('admin', '42501', $$INSERT INTO consumer_offsets VALUES ('audit', 0, 5)$$),
('admin', '42501', $$UPDATE consumer_offsets SET next_offset = 0$$),
-- not even the owner reads tenants' rows; the keys' role reads nothing else
('owner', '0', $$SELECT * FROM submissions$$),
('owner', '0', $$SELECT * FROM evidence$$),
('owner', '0', $$SELECT * FROM api_keys$$),
('owner', '0', $$SELECT * FROM webhook_endpoints$$),
('owner', '0', $$SELECT * FROM outbox$$),
('owner', '0', $$SELECT * FROM webhook_attempts$$),
('keys', '42501', $$SELECT id FROM submissions$$),
('keys', '42501', $$SELECT name FROM projects$$),
('keys', '42501', $$UPDATE api_keys SET revoked_at = now()$$);

CREATE FUNCTION try(role text, statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    n bigint;
BEGIN
    BEGIN
        EXECUTE format('SET LOCAL ROLE %I', 'rustbox_' || role);
        EXECUTE statement;
        GET DIAGNOSTICS n = ROW_COUNT;
        RAISE EXCEPTION 'undo' USING ERRCODE = 'RB000';
    EXCEPTION
        WHEN SQLSTATE 'RB000' THEN RETURN n::text;
        WHEN OTHERS THEN RETURN SQLSTATE;
    END;
END
$$;
