-- Roles of the database: one per process, each with only its rights (the grants are in the migrations).
-- Run once by a superuser (or a role with CREATEROLE) before the first migration; repeating it is harmless.
--
--   rustbox_owner  owns schema and tables; nobody logs in as it. Migrations SET ROLE to it.
--   rustbox_keys   owns the one function that reads every project's API keys; nobody logs in as it.
--   the others     log in. No passwords here: the embedded cluster maps system users (peer), others set their own.

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['owner', 'keys'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'rustbox_' || name) THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN NOINHERIT', 'rustbox_' || name);
        END IF;
    END LOOP;
    FOREACH name IN ARRAY ARRAY['admin', 'gateway', 'admit', 'persist', 'relay', 'compact', 'balance'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'rustbox_' || name) THEN
            EXECUTE format('CREATE ROLE %I LOGIN NOINHERIT', 'rustbox_' || name);
        END IF;
    END LOOP;
END
$$;

GRANT rustbox_keys TO rustbox_owner; -- to hand the function over to it
GRANT rustbox_owner TO rustbox_admin; -- migrations; admin's own rights are narrower (NOINHERIT)

-- A process that is stopped in the middle of a transaction must not block the others for ever.
ALTER ROLE rustbox_admit SET idle_in_transaction_session_timeout = '15s';
ALTER ROLE rustbox_persist SET idle_in_transaction_session_timeout = '15s';
ALTER ROLE rustbox_relay SET idle_in_transaction_session_timeout = '60s'; -- it awaits the broker meanwhile
ALTER ROLE rustbox_gateway SET idle_in_transaction_session_timeout = '15s';
