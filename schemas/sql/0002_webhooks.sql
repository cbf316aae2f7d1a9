-- Webhooks: endpoints of projects and of single submissions, the outbox with its state, delivery attempts.
--
-- Applied in one transaction by a member of rustbox_owner, after 0001. deliver has no role: what it knows comes
-- from the log. Secrets and URLs lie in `sealed` alone, under keys that no file of the database holds.

SET LOCAL ROLE rustbox_owner;
SET LOCAL search_path = rustbox;
SET LOCAL client_min_messages = warning;

-- ---- endpoints ----------------------------------------------------------------------------------------
-- `version` counts changes; relay publishes a row to the topic `endpoints` while published_version is behind.
-- A deleted row keeps neither document nor rights; it stays until retention, so that its deliveries have a name.
ALTER TABLE webhook_endpoints
    ADD COLUMN kind text NOT NULL DEFAULT 'project' CHECK (kind IN ('project', 'submission')),
    ADD COLUMN submission_id uuid, -- whose result a one-submission endpoint is told
    ADD COLUMN sealed bytea,       -- schemas/webhook.h
    ADD COLUMN version integer NOT NULL DEFAULT 1 CHECK (version > 0),
    ADD COLUMN published_version integer NOT NULL DEFAULT 0,
    ADD COLUMN updated_at timestamptz,
    ADD COLUMN enabled_at timestamptz, -- the last time by hand: attempts before it disable nothing
    ADD COLUMN disabled_reason text CHECK (length(disabled_reason) <= 200),
    ADD COLUMN deleted_at timestamptz,
    ADD CHECK ((kind = 'submission') = (submission_id IS NOT NULL)),
    ADD CHECK ((sealed IS NULL) = (deleted_at IS NOT NULL));
ALTER TABLE webhook_endpoints ALTER COLUMN kind DROP DEFAULT;
DROP INDEX webhook_endpoints_project_id_idx;
CREATE INDEX ON webhook_endpoints (project_id, id) WHERE kind = 'project' AND deleted_at IS NULL;
CREATE INDEX ON webhook_endpoints (project_id) WHERE disabled_at IS NULL AND deleted_at IS NULL;
CREATE UNIQUE INDEX ON webhook_endpoints (submission_id) WHERE submission_id IS NOT NULL;
CREATE INDEX ON webhook_endpoints (id) WHERE published_version < version;

-- ---- outbox -------------------------------------------------------------------------------------------
-- One row for each message to each endpoint. submission_id is the message's subject: the submission, or a fresh id
-- for events without one. Rows are published in the order of their subject; `generation` counts redeliveries.
ALTER TABLE outbox
    ADD COLUMN project_id uuid NOT NULL,
    ADD COLUMN message_id uuid, -- the webhook-id; told by relay
    ADD COLUMN generation integer NOT NULL DEFAULT 0 CHECK (generation >= 0),
    ADD COLUMN state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'delivered', 'dead', 'dropped')),
    ADD COLUMN attempts integer NOT NULL DEFAULT 0, -- of this generation
    ADD COLUMN next_due_at timestamptz,
    ADD COLUMN last_at timestamptz,
    ADD COLUMN last_status smallint,
    ADD COLUMN last_error text,
    ADD COLUMN data text CHECK (length(data) <= 2000), -- of an event without submission: its `data`, no content
    ALTER COLUMN class DROP NOT NULL,
    ALTER COLUMN day DROP NOT NULL,
    ALTER COLUMN evidence_id DROP NOT NULL,
    ADD CHECK ((data IS NULL) = (evidence_id IS NOT NULL));
DROP INDEX outbox_submission_id_idx;
CREATE INDEX ON outbox (submission_id) WHERE published_at IS NULL;
CREATE INDEX ON outbox (endpoint_id, submission_id DESC, event);
CREATE INDEX ON outbox (message_id);

-- Every attempt that was made: evidence, never changed.
CREATE TABLE webhook_attempts (
    message_id  uuid NOT NULL,
    generation  integer NOT NULL,
    attempt     integer NOT NULL,
    project_id  uuid NOT NULL,
    endpoint_id uuid NOT NULL,
    at          timestamptz NOT NULL,
    address     text CHECK (length(address) <= 45),
    port        integer,
    status      smallint,
    error       text NOT NULL,
    latency_us  bigint NOT NULL,
    outcome     text NOT NULL CHECK (outcome IN ('delivered', 'retry', 'dead', 'dropped')),
    next_due_at timestamptz,
    PRIMARY KEY (message_id, generation, attempt)
);
CREATE INDEX ON webhook_attempts (endpoint_id, at DESC, message_id);

-- Whoever writes work for relay wakes it.
CREATE FUNCTION wake_relay() RETURNS trigger LANGUAGE plpgsql SET search_path = rustbox, pg_temp AS $$
BEGIN
    PERFORM pg_notify('rustbox_relay', '');
    RETURN NULL;
END
$$;
CREATE TRIGGER wake_relay AFTER INSERT OR UPDATE OF generation ON outbox
    FOR EACH STATEMENT EXECUTE FUNCTION wake_relay();
CREATE TRIGGER wake_relay AFTER INSERT OR UPDATE OF version ON webhook_endpoints
    FOR EACH STATEMENT EXECUTE FUNCTION wake_relay();
REVOKE ALL ON FUNCTION wake_relay FROM PUBLIC;

-- ---- rights -------------------------------------------------------------------------------------------
-- gateway: the tenant's endpoints; asks for deliveries again, and for test deliveries; reads what became of them
GRANT INSERT (id, project_id, kind, events, sealed, created_at, updated_at, enabled_at),
    UPDATE (events, sealed, version, updated_at, enabled_at, disabled_at, disabled_reason, deleted_at)
    ON webhook_endpoints TO rustbox_gateway;
GRANT SELECT, INSERT (submission_id, event, endpoint_id, project_id, data),
    UPDATE (published_at, generation, state, attempts, next_due_at) ON outbox TO rustbox_gateway;
GRANT SELECT ON webhook_attempts TO rustbox_gateway;

-- admit: one-submission endpoints (delivery.md rule 13)
GRANT INSERT ON webhook_endpoints TO rustbox_admit;

-- persist: attempts, and what follows from them
GRANT SELECT (submission_id, event, endpoint_id, generation, state, attempts, next_due_at),
    UPDATE (state, attempts, next_due_at, last_at, last_status, last_error) ON outbox TO rustbox_persist;
GRANT UPDATE (version, disabled_at, disabled_reason, deleted_at, sealed) ON webhook_endpoints TO rustbox_persist;
GRANT INSERT, SELECT (message_id, generation, attempt) ON webhook_attempts TO rustbox_persist;

-- relay: publishes; an alias has a data key of its own
GRANT UPDATE (published_at, message_id, state, last_error) ON outbox TO rustbox_relay;
GRANT SELECT, UPDATE (published_version) ON webhook_endpoints TO rustbox_relay;
GRANT SELECT (class, day, id, project_id, key_number, owner_id) ON submissions TO rustbox_relay;

-- admin: a dead message again (`rustbox dead redrive`)
GRANT SELECT (message_id, state, generation), UPDATE (published_at, generation, state, attempts, next_due_at)
    ON outbox TO rustbox_admin;

-- ---- rows ---------------------------------------------------------------------------------------------
CREATE POLICY tenant_insert ON webhook_endpoints FOR INSERT TO rustbox_gateway
    WITH CHECK (project_id = current_setting('rustbox.project')::uuid AND kind = 'project');
CREATE POLICY tenant_update ON webhook_endpoints FOR UPDATE TO rustbox_gateway
    USING (project_id = current_setting('rustbox.project')::uuid)
    WITH CHECK (project_id = current_setting('rustbox.project')::uuid);
CREATE POLICY process_insert ON webhook_endpoints FOR INSERT TO rustbox_admit WITH CHECK (kind = 'submission');
CREATE POLICY process_update ON webhook_endpoints FOR UPDATE TO rustbox_persist, rustbox_relay
    USING (true) WITH CHECK (true);

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['outbox', 'webhook_attempts'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY tenant ON %I FOR SELECT TO rustbox_gateway '
                       'USING (project_id = current_setting(''rustbox.project'')::uuid)', name);
    END LOOP;
END
$$;
CREATE POLICY tenant_insert ON outbox FOR INSERT TO rustbox_gateway
    WITH CHECK (project_id = current_setting('rustbox.project')::uuid AND event = 'webhook.test');
CREATE POLICY tenant_update ON outbox FOR UPDATE TO rustbox_gateway
    USING (project_id = current_setting('rustbox.project')::uuid)
    WITH CHECK (project_id = current_setting('rustbox.project')::uuid);
CREATE POLICY process ON outbox FOR SELECT TO rustbox_admit, rustbox_persist, rustbox_relay USING (true);
CREATE POLICY process_insert ON outbox FOR INSERT TO rustbox_admit, rustbox_persist WITH CHECK (true);
CREATE POLICY process_update ON outbox FOR UPDATE TO rustbox_persist, rustbox_relay USING (true) WITH CHECK (true);
CREATE POLICY admin ON outbox FOR SELECT TO rustbox_admin USING (true);
CREATE POLICY admin_update ON outbox FOR UPDATE TO rustbox_admin USING (state = 'dead') WITH CHECK (state = 'pending');
CREATE POLICY process ON webhook_attempts FOR SELECT TO rustbox_persist USING (true);
CREATE POLICY process_insert ON webhook_attempts FOR INSERT TO rustbox_persist WITH CHECK (true);
CREATE POLICY process_relay ON submissions FOR SELECT TO rustbox_relay USING (true);

DROP POLICY persist ON consumer_offsets;
CREATE POLICY persist ON consumer_offsets FOR UPDATE TO rustbox_persist
    USING (topic IN ('verdicts', 'attempts')) WITH CHECK (topic IN ('verdicts', 'attempts'));

INSERT INTO migrations (version) VALUES (2);
RESET ROLE;
