-- Endpoints that fail for 120 hours are disabled: since when is kept with the attempts, by persist, so that no
-- restart forgets it. Set by the first failed attempt, taken back by a success; what is older than the last enabling
-- by hand says nothing.

SET LOCAL ROLE rustbox_owner;
SET LOCAL search_path = rustbox;

ALTER TABLE webhook_endpoints ADD COLUMN failing_since timestamptz;
GRANT UPDATE (failing_since) ON webhook_endpoints TO rustbox_persist;
GRANT SELECT (endpoint_id, at, outcome) ON webhook_attempts TO rustbox_persist;

-- admin: a dead message goes again only to an endpoint that takes it
GRANT SELECT (endpoint_id) ON outbox TO rustbox_admin;

-- Only what has changed wakes relay: a statement that found nothing to change happens with every delivery.
DROP TRIGGER wake_relay ON webhook_endpoints;
CREATE TRIGGER wake_relay AFTER INSERT ON webhook_endpoints FOR EACH STATEMENT EXECUTE FUNCTION wake_relay();
CREATE TRIGGER wake_relay_changed AFTER UPDATE OF version ON webhook_endpoints
    FOR EACH ROW WHEN (NEW.version > OLD.version) EXECUTE FUNCTION wake_relay();

INSERT INTO migrations (version) VALUES (4);
RESET ROLE;
