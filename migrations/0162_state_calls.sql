-- state: of many calls that run, which began first and last and which is heard longest is found without reading all.
-- Written by the state service only.
CREATE INDEX signal_running ON state.signal (account, key, taken_at) WHERE value = 'true'::jsonb;
CREATE INDEX signal_expiry ON state.signal (account, key, expires_at);
