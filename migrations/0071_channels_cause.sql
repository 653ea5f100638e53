-- channels: because of what an attempt was made, so that what its provider says of it later belongs to the same chain of
-- events. Null for attempts that were made before.

ALTER TABLE channels.attempt
    ADD COLUMN correlation uuid,
    -- The event that a provider's word follows from: the attempt's own cause, and MessageSent once that is told.
    ADD COLUMN causation uuid,
    ADD COLUMN depth smallint;
