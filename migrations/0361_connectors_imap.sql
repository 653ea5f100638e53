-- connectors: which mails lie in which folders of a mailbox, so that it is known which are there no more. Written by the
-- connectors only.

CREATE SCHEMA connectors;
GRANT USAGE ON SCHEMA connectors TO allod_app;

-- Folders that are read.
CREATE TABLE connectors.imap_folder (
    account uuid NOT NULL,
    connection uuid NOT NULL,
    folder text NOT NULL,
    -- When the last reading began that came to its end; null: none did.
    looked_at timestamptz,
    PRIMARY KEY (account, connection, folder)
);

CREATE TABLE connectors.imap_mail (
    account uuid NOT NULL,
    connection uuid NOT NULL,
    folder text NOT NULL,
    -- UIDVALIDITY and UID: by these the server knows it.
    validity bigint NOT NULL,
    uid bigint NOT NULL,
    -- By what the graph knows it (`mail.message-id`): the same in all folders.
    mail text NOT NULL,
    -- Since when it is known that it isn't there any more; null: it is there.
    vanished_at timestamptz,
    -- The page that told so.
    told uuid,
    PRIMARY KEY (account, connection, folder, validity, uid)
);
CREATE INDEX imap_mail_mail ON connectors.imap_mail (account, connection, mail);
CREATE INDEX imap_mail_vanished ON connectors.imap_mail (account, connection) WHERE vanished_at IS NOT NULL;

-- How often a mail went for good, so that it is something new if it comes back.
CREATE TABLE connectors.imap_gone (
    account uuid NOT NULL,
    connection uuid NOT NULL,
    mail text NOT NULL,
    times integer NOT NULL,
    PRIMARY KEY (account, connection, mail)
);

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['imap_folder', 'imap_mail', 'imap_gone'] LOOP
        EXECUTE format('ALTER TABLE connectors.%I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE connectors.%I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY own ON connectors.%I TO allod_app '
            'USING (account = (SELECT spine.account())) WITH CHECK (account = (SELECT spine.account()))', name);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON connectors.%I TO allod_app', name);
    END LOOP;
END $$;
