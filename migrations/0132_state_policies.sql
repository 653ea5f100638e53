-- state: the policies of 0130 ask for the transaction's account once a statement, not once a row (as 0121 did for those
-- before).

ALTER POLICY own ON state.signal USING (account = (SELECT spine.account()));
ALTER POLICY own ON state.setting USING (account = (SELECT spine.account()));
ALTER POLICY own ON state.deadline USING (account = (SELECT spine.account()));
