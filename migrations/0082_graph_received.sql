-- graph: records that were taken in and wait to be understood.

ALTER TABLE graph.raw_record DROP CONSTRAINT raw_record_status_check,
    ADD CONSTRAINT raw_record_status_check CHECK (status IN ('received', 'processed', 'parked'));
CREATE INDEX raw_record_waiting ON graph.raw_record (account, received_at, id) WHERE status = 'received';
