-- Labels of submissions: the payload has them in the ciphertext; here stands of each only a hash under the
-- project's secret (the first 16 bytes of HMAC-SHA-256), so that a project can list its own by a label and
-- nobody can read one. NULL where there are none: such rows cost the index nothing.

SET LOCAL ROLE rustbox_owner;
SET LOCAL search_path = rustbox;

ALTER TABLE submissions ADD COLUMN labels uuid[] CHECK (cardinality(labels) BETWEEN 1 AND 16);
CREATE INDEX ON submissions USING gin (labels) WHERE labels IS NOT NULL;
GRANT UPDATE (labels) ON submissions TO rustbox_compact; -- an erased row keeps none

INSERT INTO migrations (version) VALUES (3);
RESET ROLE;
