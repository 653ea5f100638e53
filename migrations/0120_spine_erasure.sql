-- spine: who asked for an erasure and what went, for the event that tells of it; and what was taken in is forgotten.

ALTER TABLE spine.erasure ADD COLUMN asked_by text, ADD COLUMN correlation uuid, ADD COLUMN rows jsonb;

-- Keys are written in the order of time, so a few pages of this say where the old ones lie.
CREATE INDEX idempotency_at ON spine.idempotency USING brin (at) WITH (autosummarize = on);
