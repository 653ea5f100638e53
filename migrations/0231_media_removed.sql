-- media: what the owner removed for good from whom, so that the mail or card that brought it doesn't bring it again when it
-- is understood anew. Goes with its holder.

CREATE TABLE media.removed (
    account uuid NOT NULL,
    hash bytea NOT NULL CHECK (octet_length(hash) = 32),
    holder uuid NOT NULL,
    PRIMARY KEY (account, hash, holder)
);
CREATE INDEX removed_holder ON media.removed (account, holder);
ALTER TABLE media.removed ENABLE ROW LEVEL SECURITY;
ALTER TABLE media.removed FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON media.removed TO allod_app
    USING (account = (SELECT spine.account())) WITH CHECK (account = (SELECT spine.account()));
GRANT SELECT, INSERT, UPDATE, DELETE ON media.removed TO allod_app;
