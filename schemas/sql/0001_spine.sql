-- The spine: projects, keys, submissions, evidence, offsets, usage, outbox, and who may do what.
--
-- Applied in one transaction by a member of rustbox_owner, after roles.sql.
-- Day partitions: submissions and evidence are partitioned by retention class, then by UTC day; PostgreSQL
-- wants both in the primary key. A submission's class travels in its signed headers, so (day, id) stays unique.
-- No column that replay rebuilds has a default from clock, sequence or randomness.

SET LOCAL ROLE rustbox_owner; -- who may create in this database
CREATE SCHEMA rustbox;
SET LOCAL search_path = rustbox;
SET LOCAL client_min_messages = warning;

CREATE TABLE migrations (
    version    integer PRIMARY KEY,
    name       text, -- of the file, and its SHA-256: entered by `rustbox admin migrate`
    sha256     text,
    applied_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE projects (
    id              uuid PRIMARY KEY,
    name            text NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
    plan            text NOT NULL,
    retention_class smallint NOT NULL DEFAULT 30 CHECK (retention_class IN (7, 30, 90, 365)),
    taxonomy        text NOT NULL DEFAULT 'standard' CHECK (taxonomy IN ('standard', 'extended')),
    created_at      timestamptz NOT NULL,
    deleted_at      timestamptz
);

CREATE TABLE api_keys (
    id         uuid PRIMARY KEY,
    project_id uuid NOT NULL REFERENCES projects,
    hash       bytea NOT NULL UNIQUE CHECK (length(hash) = 32), -- SHA-256 of the whole key
    kind       text NOT NULL CHECK (kind IN ('live', 'test')),
    label      text NOT NULL CHECK (length(label) <= 100),
    hint       text NOT NULL CHECK (length(hint) <= 8), -- last characters, for lists
    created_at timestamptz NOT NULL,
    revoked_at timestamptz
);
CREATE INDEX ON api_keys (project_id);

-- One row per accepted id: the decision of admission (delivery.md rules 7, 8, 10).
CREATE TABLE submissions (
    class       smallint NOT NULL,
    day         date NOT NULL,
    id          uuid NOT NULL,
    project_id  uuid NOT NULL,
    decision    text NOT NULL CHECK (decision IN
                ('admit', 'held', 'rejected', 'cancelled', 'erased', 'unreadable', 'alias', 'conflict')),
    cause       text,           -- of a terminal decision
    message     text CHECK (length(message) <= 400), -- of a rejection: names field and rule, never content
    partition   integer NOT NULL,
    log_offset  bigint NOT NULL,
    key_number  bigint NOT NULL, -- data key, bit pattern of an unsigned 64-bit number
    key_hash    bytea CHECK (length(key_hash) = 32), -- only in rows that own their key
    fingerprint bytea CHECK (length(fingerprint) = 32), -- of an owner; NULL once it is erased
    owner_id    uuid,           -- of a repeat (alias, conflict, erased): whose key it is
    language    text,
    profile     text,
    lane        smallint NOT NULL,
    created_at  timestamptz NOT NULL, -- the id's time
    closed      boolean NOT NULL, -- a hint for cheap questions; the truth is a row in evidence, or decision alias
    PRIMARY KEY (class, day, id),
    CHECK (key_hash IS NULL OR owner_id IS NULL)
) PARTITION BY LIST (class);
CREATE INDEX ON submissions (project_id, id DESC);
CREATE INDEX ON submissions (project_id, key_hash, day) WHERE key_hash IS NOT NULL;
CREATE INDEX ON submissions (owner_id) WHERE owner_id IS NOT NULL;
CREATE INDEX ON submissions (created_at) WHERE NOT closed;

CREATE TABLE evidence (
    class             smallint NOT NULL,
    day               date NOT NULL,
    id                uuid NOT NULL,
    project_id        uuid NOT NULL,
    state             text NOT NULL CHECK (state IN ('stored', 'erased')),
    verdict           text,
    cause             text,
    language          text,
    profile           text,
    exit_code         integer,
    signal            integer,
    cpu_ns            bigint,
    wall_ns           bigint,
    memory_peak_bytes bigint,
    stdout_bytes      bigint,
    stderr_bytes      bigint,
    created_at        timestamptz,
    started_at        timestamptz,
    completed_at      timestamptz,
    key_number        bigint,
    sealed            bytea,    -- the verdict record's value, unchanged
    body_hash         bytea,    -- keyed hash of the canonical plaintext, to compare duplicates
    partition         integer,
    log_offset        bigint,
    PRIMARY KEY (class, day, id),
    CHECK (state = 'stored' OR (verdict IS NULL AND sealed IS NULL AND body_hash IS NULL)),
    CHECK (state = 'erased' OR (verdict IS NOT NULL AND sealed IS NOT NULL))
) PARTITION BY LIST (class);
ALTER TABLE evidence ALTER COLUMN sealed SET STORAGE EXTERNAL; -- ciphertext does not compress
CREATE INDEX ON evidence (project_id, id DESC);

CREATE TABLE consumer_offsets (
    topic       text NOT NULL,
    partition   integer NOT NULL CHECK (partition >= 0),
    next_offset bigint NOT NULL CHECK (next_offset >= 0),
    PRIMARY KEY (topic, partition)
) WITH (fillfactor = 20); -- a few rows, updated by every transaction: room for HOT updates

-- Consumption of a project. requests and cpu_ns: per UTC day of the submission. requests_month: `day` is the
-- month's first. Three rows, so that admit and persist never wait for each other.
CREATE TABLE usage (
    project_id uuid NOT NULL,
    day        date NOT NULL,
    kind       text NOT NULL CHECK (kind IN ('requests', 'requests_month', 'cpu_ns')),
    amount     bigint NOT NULL CHECK (amount >= 0),
    PRIMARY KEY (project_id, day, kind)
) WITH (fillfactor = 50);

-- Webhook endpoints come with their own issue; persist and admit already ask for them in their transactions.
CREATE TABLE webhook_endpoints (
    id          uuid PRIMARY KEY,
    project_id  uuid NOT NULL REFERENCES projects,
    events      text[] NOT NULL,
    created_at  timestamptz NOT NULL,
    disabled_at timestamptz
);
CREATE INDEX ON webhook_endpoints (project_id) WHERE disabled_at IS NULL;

CREATE TABLE outbox (
    submission_id uuid NOT NULL,
    event         text NOT NULL,
    endpoint_id   uuid NOT NULL,
    class         smallint NOT NULL, -- where the evidence lies: the owner's id for an alias
    day           date NOT NULL,
    evidence_id   uuid NOT NULL,
    published_at  timestamptz,
    PRIMARY KEY (submission_id, event, endpoint_id)
);
CREATE INDEX ON outbox (submission_id) WHERE published_at IS NULL;

-- ---- day partitions -----------------------------------------------------------------------------------

-- Every day that ever had partitions. `dropped` is for ever: a replay must not revive an expired day.
CREATE TABLE partition_days (
    class   smallint NOT NULL,
    day     date NOT NULL,
    dropped boolean NOT NULL,
    PRIMARY KEY (class, day)
);

DO $$
DECLARE
    name  text;
    class integer;
BEGIN
    FOREACH name IN ARRAY ARRAY['submissions', 'evidence'] LOOP
        FOREACH class IN ARRAY ARRAY[7, 30, 90, 365] LOOP
            EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES IN (%s) PARTITION BY RANGE (day)',
                           name || '_' || class, name, class);
        END LOOP;
    END LOOP;
END
$$;

-- Makes the partitions of these days (both included) for every class, where they are neither there nor
-- dropped; returns how many days of a class it made. There is no DEFAULT partition: a row of a day without
-- partition is refused (23514), which the stages take for class `expired`.
CREATE FUNCTION ensure_partitions(from_day date, to_day date) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = rustbox, pg_temp AS $$
DECLARE
    want   record;
    made   integer := 0;
    leaf   text;
    parent text;
BEGIN
    IF from_day IS NULL OR to_day IS NULL OR to_day < from_day OR to_day - from_day > 400
       OR from_day < date '2020-01-01' OR to_day > current_date + 800 THEN
        RAISE EXCEPTION 'ensure_partitions: % to % is no range of at most 401 days near today', from_day, to_day
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    -- Nothing to do is the usual case and takes no lock.
    IF (SELECT count(*) FROM partition_days WHERE day BETWEEN from_day AND to_day) = 4 * (to_day - from_day + 1) THEN
        RETURN 0;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('rustbox.ensure_partitions'));
    FOR want IN
        SELECT c.class, d.day::date AS day
        FROM unnest(ARRAY[7, 30, 90, 365]::smallint[]) AS c(class),
             generate_series(from_day::timestamp, to_day::timestamp, interval '1 day') AS d(day)
        WHERE NOT EXISTS (SELECT FROM partition_days p WHERE p.class = c.class AND p.day = d.day::date)
        ORDER BY 1, 2
    LOOP
        -- Made apart, then attached: CREATE ... PARTITION OF would stop every reader and writer of the parent.
        -- Evidence rows of up to 8 kB stay whole: 2 kB in a TOAST table costs twice the writes.
        leaf := want.class || '_' || to_char(want.day, 'YYYYMMDD');
        FOREACH parent IN ARRAY ARRAY['submissions', 'evidence'] LOOP
            EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING CONSTRAINTS INCLUDING STORAGE) %s',
                           parent || '_' || leaf, parent || '_' || want.class,
                           CASE parent WHEN 'evidence' THEN 'WITH (toast_tuple_target = 8160)' END);
            EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                           parent || '_' || want.class, parent || '_' || leaf, want.day, want.day + 1);
        END LOOP;
        INSERT INTO partition_days VALUES (want.class, want.day, false);
        made := made + 1;
    END LOOP;
    RETURN made;
END
$$;

-- Retention: the day of a class goes, for ever, also when it never had partitions here.
CREATE FUNCTION drop_partitions(drop_class smallint, drop_day date) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = rustbox, pg_temp SET client_min_messages = warning AS $$
DECLARE
    leaf text := drop_class || '_' || to_char(drop_day, 'YYYYMMDD');
BEGIN
    IF drop_class IS NULL OR drop_day IS NULL OR drop_class NOT IN (7, 30, 90, 365) THEN
        RAISE EXCEPTION 'drop_partitions: % % is no class and day', drop_class, drop_day
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('rustbox.ensure_partitions'));
    IF EXISTS (SELECT FROM partition_days WHERE class = drop_class AND day = drop_day AND dropped) THEN
        RETURN false;
    END IF;
    EXECUTE format('DROP TABLE IF EXISTS %I', 'evidence_' || leaf);
    EXECUTE format('DROP TABLE IF EXISTS %I', 'submissions_' || leaf);
    INSERT INTO partition_days VALUES (drop_class, drop_day, true)
    ON CONFLICT (class, day) DO UPDATE SET dropped = true;
    RETURN true;
END
$$;

-- What a gateway loads at start, over all projects; afterwards changes travel on `control` (delivery.md rule 26).
CREATE FUNCTION load_keys() RETURNS TABLE (
    key_id uuid, hash bytea, kind text, revoked boolean, project_id uuid, plan text,
    retention_class smallint, taxonomy text, project_deleted boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = rustbox, pg_temp AS $$
    SELECT k.id, k.hash, k.kind, k.revoked_at IS NOT NULL, p.id, p.plan, p.retention_class, p.taxonomy,
           p.deleted_at IS NOT NULL
    FROM api_keys k JOIN projects p ON p.id = k.project_id
$$;

-- ---- rights -------------------------------------------------------------------------------------------
-- Nobody has rights on a partition itself: the tenant's policies stand at the parent.

REVOKE ALL ON FUNCTION ensure_partitions, drop_partitions, load_keys FROM PUBLIC;
GRANT USAGE ON SCHEMA rustbox TO rustbox_admin, rustbox_gateway, rustbox_admit, rustbox_persist,
    rustbox_relay, rustbox_compact, rustbox_balance, rustbox_keys;
GRANT CREATE ON SCHEMA rustbox TO rustbox_keys;
ALTER FUNCTION load_keys() OWNER TO rustbox_keys;
REVOKE CREATE ON SCHEMA rustbox FROM rustbox_keys;
GRANT SELECT (id, project_id, hash, kind, revoked_at) ON api_keys TO rustbox_keys;
GRANT SELECT (id, plan, retention_class, taxonomy, deleted_at) ON projects TO rustbox_keys;

GRANT SELECT ON consumer_offsets, partition_days TO rustbox_admin, rustbox_gateway, rustbox_admit,
    rustbox_persist, rustbox_compact, rustbox_balance;
GRANT SELECT ON migrations TO rustbox_admin, rustbox_gateway, rustbox_admit, rustbox_persist,
    rustbox_relay, rustbox_compact, rustbox_balance;

-- gateway: the tenant's rows, read only but for its keys
SET LOCAL ROLE rustbox_keys;
GRANT EXECUTE ON FUNCTION load_keys() TO rustbox_gateway;
SET LOCAL ROLE rustbox_owner;
GRANT SELECT ON submissions, evidence, usage TO rustbox_gateway;
GRANT SELECT (id, name, plan, retention_class, taxonomy, created_at, deleted_at) ON projects TO rustbox_gateway;
GRANT SELECT (id, project_id, kind, label, hint, created_at, revoked_at) ON api_keys TO rustbox_gateway;
GRANT INSERT (id, project_id, hash, kind, label, hint, created_at), UPDATE (revoked_at)
    ON api_keys TO rustbox_gateway;
GRANT SELECT ON webhook_endpoints TO rustbox_gateway;

-- admit. UPDATE (closed) is what SELECT ... FOR SHARE of an owner's row needs (rule 8).
GRANT SELECT (id, plan, deleted_at) ON projects TO rustbox_admit;
GRANT SELECT, INSERT, UPDATE (closed) ON submissions TO rustbox_admit;
GRANT SELECT (class, day, id, project_id, state, verdict) ON evidence TO rustbox_admit;
GRANT SELECT, INSERT, UPDATE (amount) ON usage TO rustbox_admit;
GRANT UPDATE (next_offset) ON consumer_offsets TO rustbox_admit;
GRANT SELECT ON webhook_endpoints TO rustbox_admit;
GRANT INSERT, SELECT (submission_id, event, endpoint_id) ON outbox TO rustbox_admit;
GRANT EXECUTE ON FUNCTION ensure_partitions TO rustbox_admit, rustbox_persist, rustbox_admin;

-- persist
GRANT SELECT (class, day, id, project_id, decision, owner_id, key_hash, closed), UPDATE (closed)
    ON submissions TO rustbox_persist;
GRANT INSERT, SELECT (class, day, id, project_id, state, body_hash) ON evidence TO rustbox_persist;
GRANT SELECT, INSERT, UPDATE (amount) ON usage TO rustbox_persist;
GRANT UPDATE (next_offset) ON consumer_offsets TO rustbox_persist;
GRANT SELECT ON webhook_endpoints TO rustbox_persist;
GRANT INSERT, SELECT (submission_id, event, endpoint_id) ON outbox TO rustbox_persist;

-- relay: publishes what is due
GRANT SELECT, UPDATE (published_at) ON outbox TO rustbox_relay;
GRANT SELECT (id, project_id, disabled_at) ON webhook_endpoints TO rustbox_relay;
GRANT SELECT ON evidence TO rustbox_relay;

-- compact: retention and erasure (rule 18: the verdict's row becomes, or is inserted as, erased)
GRANT EXECUTE ON FUNCTION drop_partitions TO rustbox_compact;
GRANT SELECT, UPDATE (decision, fingerprint, closed) ON submissions TO rustbox_compact;
GRANT SELECT, INSERT ON evidence TO rustbox_compact;
GRANT UPDATE (state, verdict, cause, language, profile, exit_code, signal, cpu_ns, wall_ns, memory_peak_bytes,
    stdout_bytes, stderr_bytes, started_at, completed_at, sealed, body_hash) ON evidence TO rustbox_compact;

-- balance: ids and states, no content, no keys
GRANT SELECT (class, day, id, project_id, decision, partition, log_offset, owner_id, created_at, closed)
    ON submissions TO rustbox_balance;
GRANT SELECT (class, day, id, project_id, state, verdict, cause, partition, log_offset) ON evidence TO rustbox_balance;

-- admin: projects and keys; the rows of consumer_offsets are made with their topics
GRANT SELECT, INSERT, UPDATE (name, plan, retention_class, taxonomy, deleted_at) ON projects TO rustbox_admin;
GRANT SELECT, INSERT, UPDATE (label, revoked_at) ON api_keys TO rustbox_admin;
GRANT SELECT ON usage, webhook_endpoints TO rustbox_admin;
GRANT INSERT ON consumer_offsets TO rustbox_admin;

-- ---- rows: tenants and processes ----------------------------------------------------------------------
-- Tenant rows are seen through the transaction-local setting rustbox.project; unset (or '' after such a
-- transaction) is an error, never an empty answer. Each process that works over all projects has a policy of its own.
-- FORCE: not even the owner reads tenant rows.

DO $$
DECLARE
    name text;
    mine text;
BEGIN
    FOREACH name IN ARRAY ARRAY['projects', 'api_keys', 'submissions', 'evidence', 'usage', 'webhook_endpoints'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        mine := CASE name WHEN 'projects' THEN 'id' ELSE 'project_id' END;
        EXECUTE format('CREATE POLICY tenant ON %I FOR SELECT TO rustbox_gateway '
                       'USING (%I = current_setting(''rustbox.project'')::uuid)', name, mine);
    END LOOP;
END
$$;
CREATE POLICY tenant_insert ON api_keys FOR INSERT TO rustbox_gateway
    WITH CHECK (project_id = current_setting('rustbox.project')::uuid);
CREATE POLICY tenant_update ON api_keys FOR UPDATE TO rustbox_gateway
    USING (project_id = current_setting('rustbox.project')::uuid)
    WITH CHECK (project_id = current_setting('rustbox.project')::uuid);
CREATE POLICY keys ON api_keys FOR SELECT TO rustbox_keys USING (true);
CREATE POLICY keys ON projects FOR SELECT TO rustbox_keys USING (true);
CREATE POLICY admin ON projects TO rustbox_admin USING (true) WITH CHECK (true);
CREATE POLICY admin ON api_keys TO rustbox_admin USING (true) WITH CHECK (true);
CREATE POLICY admin ON usage FOR SELECT TO rustbox_admin USING (true);
CREATE POLICY admin ON webhook_endpoints FOR SELECT TO rustbox_admin USING (true);

CREATE POLICY process ON projects FOR SELECT TO rustbox_admit USING (true);
CREATE POLICY process ON webhook_endpoints FOR SELECT TO rustbox_admit, rustbox_persist, rustbox_relay USING (true);
CREATE POLICY process ON submissions FOR SELECT
    TO rustbox_admit, rustbox_persist, rustbox_compact, rustbox_balance USING (true);
CREATE POLICY process_insert ON submissions FOR INSERT TO rustbox_admit WITH CHECK (true);
CREATE POLICY process_update ON submissions FOR UPDATE
    TO rustbox_admit, rustbox_persist, rustbox_compact USING (true) WITH CHECK (true);
CREATE POLICY process ON evidence FOR SELECT
    TO rustbox_admit, rustbox_persist, rustbox_relay, rustbox_compact, rustbox_balance USING (true);
CREATE POLICY process_insert ON evidence FOR INSERT TO rustbox_persist WITH CHECK (true);
CREATE POLICY process_erase ON evidence FOR INSERT TO rustbox_compact WITH CHECK (state = 'erased');
CREATE POLICY process_erase_update ON evidence FOR UPDATE TO rustbox_compact USING (true) WITH CHECK (state = 'erased');
CREATE POLICY requests ON usage TO rustbox_admit
    USING (true) WITH CHECK (kind IN ('requests', 'requests_month'));
CREATE POLICY cpu ON usage TO rustbox_persist USING (kind = 'cpu_ns') WITH CHECK (kind = 'cpu_ns');

-- Each stage moves its own topic's offsets only.
ALTER TABLE consumer_offsets ENABLE ROW LEVEL SECURITY;
ALTER TABLE consumer_offsets FORCE ROW LEVEL SECURITY;
CREATE POLICY readers ON consumer_offsets FOR SELECT USING (true);
CREATE POLICY admin ON consumer_offsets FOR INSERT TO rustbox_admin WITH CHECK (next_offset = 0);
CREATE POLICY admit ON consumer_offsets FOR UPDATE TO rustbox_admit
    USING (topic = 'submissions') WITH CHECK (topic = 'submissions');
CREATE POLICY persist ON consumer_offsets FOR UPDATE TO rustbox_persist
    USING (topic = 'verdicts') WITH CHECK (topic = 'verdicts');

INSERT INTO migrations (version) VALUES (1);
RESET ROLE;
