-- etl: archives of an account (tar), with its files, are imported, too.

ALTER TABLE etl.import DROP CONSTRAINT import_format_check;
ALTER TABLE etl.import ADD CONSTRAINT import_format_check
    CHECK (format IN ('vcard', 'ical', 'mbox', 'csv', 'jsonld', 'archive'));
