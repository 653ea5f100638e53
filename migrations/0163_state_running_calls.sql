-- state: the second index is of the running calls only, as the first, so that nothing else is looked up by it. Written by
-- the state service only.
DROP INDEX state.signal_expiry;
CREATE INDEX signal_running_until ON state.signal (account, key, expires_at) WHERE value = 'true'::jsonb;
