-- etl: tracks and places, too, are imported from files.

ALTER TABLE etl.import DROP CONSTRAINT import_format_check;
ALTER TABLE etl.import ADD CONSTRAINT import_format_check
    CHECK (format IN ('vcard', 'ical', 'mbox', 'csv', 'jsonld', 'archive', 'gpx', 'geojson'));
