-- etl: an upload has its row before its first byte lies on the disk: it counts among those under way, and what a stop of
-- the hub left of it is found again.

ALTER TABLE etl.import DROP CONSTRAINT import_state_check;
ALTER TABLE etl.import ADD CONSTRAINT import_state_check
    CHECK (state IN ('uploading', 'waiting', 'running', 'finished', 'cancelled', 'failed'));
CREATE INDEX import_open ON etl.import (account, id) WHERE state IN ('uploading', 'waiting', 'running');

-- Imports that have a file on the disk, in all accounts. Ids only.
CREATE FUNCTION etl.imports_open() RETURNS TABLE (account uuid, import uuid)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT i.account, i.id FROM etl.import AS i WHERE i.state IN ('uploading', 'waiting', 'running')
$$;
REVOKE EXECUTE ON FUNCTION etl.imports_open() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION etl.imports_open() TO allod_app;
CREATE POLICY look_up ON etl.import FOR SELECT TO allod_definer USING (true);
GRANT USAGE ON SCHEMA etl TO allod_definer;
GRANT SELECT ON etl.import TO allod_definer;
-- Whoever is to own a function must be allowed to create in its schema; only for as long as it takes.
GRANT CREATE ON SCHEMA etl TO allod_definer;
ALTER FUNCTION etl.imports_open() OWNER TO allod_definer;
REVOKE CREATE ON SCHEMA etl FROM allod_definer;
