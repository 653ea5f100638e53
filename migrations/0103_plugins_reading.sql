-- plugins: a history that is too long for one run is read on from where the last run came to. Written by the plugins
-- service only. Null: no reading is under way.

ALTER TABLE plugins.connection ADD COLUMN reading jsonb;
