-- media: which contents an account keeps, what was found out about each, and who needs it. Written by the media service
-- only. The bytes lie in the object store under <account>/blobs/<hash>-<generation>; who changes an object there holds the advisory
-- lock of its account and hash until the rows are committed.

CREATE SCHEMA media;
GRANT USAGE ON SCHEMA media TO allod_app, allod_definer;

-- Accounts that ever kept something, and when the store was last searched for objects that no row names.
CREATE TABLE media.account (
    account uuid PRIMARY KEY,
    swept_at timestamptz NOT NULL
);

CREATE TABLE media.blob (
    account uuid NOT NULL,
    -- SHA-256 of the content.
    hash bytea NOT NULL CHECK (octet_length(hash) = 32),
    -- Anew each time that it comes after it went: part of the object's name, so that a removal that is late finds nothing.
    generation uuid NOT NULL,
    -- The MediaObject.
    entity uuid NOT NULL,
    bytes bigint NOT NULL CHECK (bytes > 0),
    -- What the content says that it is, and what whoever brought it said.
    media_type text NOT NULL,
    declared_type text,
    -- As its owner calls it: shown, and never a path.
    filename text,
    -- True if the owner uploaded it, false if it came with something.
    by_owner boolean NOT NULL,
    processed_at timestamptz,
    -- Why there is no picture of it, or nothing to give to others.
    problem text,
    width integer CHECK (width > 0),
    height integer CHECK (height > 0),
    blurhash text,
    -- By name: media type, bytes, width and height of what was made of it.
    renditions jsonb NOT NULL DEFAULT '[]',
    created_at timestamptz NOT NULL,
    -- Nobody needs it: object and row go next. Who brings the same content before takes it back.
    removing_at timestamptz,
    PRIMARY KEY (account, hash)
);
CREATE INDEX blob_list ON media.blob (account, created_at DESC, entity DESC);
CREATE INDEX blob_entity ON media.blob (account, entity);
CREATE INDEX blob_removing ON media.blob (account) WHERE removing_at IS NOT NULL;

-- Who needs a content: the MediaObject that the owner uploaded, or the mail that it came with.
CREATE TABLE media.reference (
    account uuid NOT NULL,
    hash bytea NOT NULL,
    holder uuid NOT NULL,
    -- What the holder is now: itself, or what it was merged into.
    root uuid NOT NULL,
    -- Since when the holder is deleted; it may come back.
    released_at timestamptz,
    PRIMARY KEY (account, hash, holder),
    FOREIGN KEY (account, hash) REFERENCES media.blob (account, hash)
);
CREATE INDEX reference_root ON media.reference (account, root);
CREATE INDEX reference_released ON media.reference (released_at) WHERE released_at IS NOT NULL;

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['account', 'blob', 'reference']
    LOOP
        EXECUTE format('ALTER TABLE media.%I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE media.%I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY own ON media.%I TO allod_app '
            'USING (account = (SELECT spine.account())) WITH CHECK (account = (SELECT spine.account()))', name);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON media.%I TO allod_app', name);
        -- The caretaker asks for whom there is something to do; nothing else crosses accounts.
        EXECUTE format('CREATE POLICY look_up ON media.%I FOR SELECT TO allod_definer USING (true)', name);
        EXECUTE format('GRANT SELECT ON media.%I TO allod_definer', name);
    END LOOP;
END $$;

-- Accounts with contents that nobody needs any more, or that were not searched for long. Ids only.
CREATE FUNCTION media.accounts_due(released_before timestamptz, swept_before timestamptz) RETURNS TABLE (account uuid)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT b.account FROM media.blob AS b WHERE b.removing_at IS NOT NULL
    UNION SELECT r.account FROM media.reference AS r WHERE r.released_at <= $1
    UNION SELECT a.account FROM media.account AS a WHERE a.swept_at <= $2
    LIMIT 1000
$$;

REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA media FROM PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA media TO allod_app;
-- Whoever is to own a function must be allowed to create in its schema; only for as long as it takes.
GRANT CREATE ON SCHEMA media TO allod_definer;
ALTER FUNCTION media.accounts_due(timestamptz, timestamptz) OWNER TO allod_definer;
REVOKE CREATE ON SCHEMA media FROM allod_definer;
