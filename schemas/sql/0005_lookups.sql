-- Indexes for what is asked all the time, so that no answer takes longer when more is stored.

SET LOCAL ROLE rustbox_owner;
SET LOCAL search_path = rustbox;

-- Open submissions of a project: counted while it submits.
DROP INDEX submissions_created_at_idx;
CREATE INDEX ON submissions (project_id, created_at) WHERE NOT closed;

-- Messages of an endpoint, by what became of them: the dead are few among millions that arrived. The list of all walks
-- the four states at once. State comes first so that no statement without it, as persist's for each attempt, takes this
-- index for the key's.
DROP INDEX outbox_endpoint_id_submission_id_event_idx;
CREATE INDEX ON outbox (state, endpoint_id, submission_id DESC, event);

-- Labels are looked for among a project's newest submissions: this index was never used, since the row policies come
-- before an operator that could tell of rows it must not see.
DROP INDEX submissions_labels_idx;

-- A list finds the days that a project has submissions of by its rows of kind `requests` in usage. Admission makes one for
-- every such day from now on, zero when nothing counted; here are those of before. The owner reads tenant rows this once.
ALTER TABLE submissions NO FORCE ROW LEVEL SECURITY;
ALTER TABLE usage NO FORCE ROW LEVEL SECURITY;
INSERT INTO usage (project_id, day, kind, amount) SELECT DISTINCT project_id, day, 'requests', 0 FROM submissions
    ON CONFLICT DO NOTHING;
ALTER TABLE submissions FORCE ROW LEVEL SECURITY;
ALTER TABLE usage FORCE ROW LEVEL SECURITY;
CREATE INDEX ON partition_days (day) WHERE NOT dropped;

-- Dropping a day needs the whole table for a moment. Whoever waits for that keeps everybody behind it waiting: rather give up.
ALTER FUNCTION drop_partitions SET lock_timeout = '1s';

INSERT INTO migrations (version) VALUES (5);
RESET ROLE;
