-- The spine: projects, keys, submissions, evidence, offsets, usage, outbox.
--
-- Day partitions: submissions and evidence are partitioned by retention class, then by UTC day; PostgreSQL
-- wants both in the primary key. A submission's class travels in its signed headers, so (day, id) stays unique.
-- No column that replay rebuilds has a default from clock, sequence or randomness.

CREATE SCHEMA rustbox;
SET search_path = rustbox;

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
    hint       text NOT NULL, -- last four characters, for lists
    created_at timestamptz NOT NULL,
    revoked_at timestamptz
);

-- One row per accepted id: the decision of admission (delivery.md rules 7, 8, 10).
CREATE TABLE submissions (
    class       smallint NOT NULL,
    day         date NOT NULL,
    id          uuid NOT NULL,
    project_id  uuid NOT NULL,
    decision    text NOT NULL CHECK (decision IN
                ('admit', 'held', 'rejected', 'cancelled', 'erased', 'unreadable', 'alias', 'conflict')),
    cause       text,           -- of a rejection
    message     text,           -- of a rejection: names field and rule, never content
    partition   integer NOT NULL,
    log_offset  bigint NOT NULL,
    key_number  bigint NOT NULL, -- data key, bit pattern of an unsigned 64-bit number
    key_hash    bytea,
    fingerprint bytea,
    owner_id    uuid,            -- decision alias or conflict: whose key it is
    language    text,
    profile     text,
    lane        smallint NOT NULL,
    created_at  timestamptz NOT NULL, -- the id's time
    closed      boolean NOT NULL,     -- a hint for cheap questions; the truth is a row in evidence, or decision alias
    PRIMARY KEY (class, day, id)
) PARTITION BY LIST (class);

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
    PRIMARY KEY (class, day, id)
) PARTITION BY LIST (class);

CREATE TABLE consumer_offsets (
    topic       text NOT NULL,
    partition   integer NOT NULL,
    next_offset bigint NOT NULL,
    PRIMARY KEY (topic, partition)
);

CREATE TABLE usage (
    project_id uuid NOT NULL,
    day        date NOT NULL,
    requests   bigint NOT NULL,
    cpu_ns     bigint NOT NULL,
    PRIMARY KEY (project_id, day)
);

-- Webhook endpoints come with their own issue; persist already asks for them in its transaction.
CREATE TABLE webhook_endpoints (
    id         uuid PRIMARY KEY,
    project_id uuid NOT NULL REFERENCES projects,
    events     text[] NOT NULL,
    created_at timestamptz NOT NULL,
    disabled_at timestamptz
);

CREATE TABLE outbox (
    seq          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    endpoint_id  uuid NOT NULL,
    event        text NOT NULL,
    class        smallint NOT NULL,
    day          date NOT NULL,
    submission_id uuid NOT NULL,
    published_at timestamptz,
    UNIQUE (submission_id, event, endpoint_id)
);
