-- intentions: goals come due as tasks do. Goals that are planned already get their moments; what passed before the hub
-- could tell of it counts as told.

ALTER TABLE intentions.plan NO FORCE ROW LEVEL SECURITY;
ALTER TABLE intentions.moment NO FORCE ROW LEVEL SECURITY;
INSERT INTO intentions.moment (account, entity, kind, occasion, at, told_at)
    SELECT p.account, p.entity, planned.kind, p.due, planned.at, CASE WHEN planned.at <= now() THEN now() END
    FROM intentions.plan AS p
    CROSS JOIN LATERAL (VALUES ('due', p.due_at), ('overdue', p.overdue_at)) AS planned (kind, at)
    WHERE p.kind = 'Goal' AND NOT p.gone AND p.status IN ('needs-action', 'in-process') AND p.due IS NOT NULL
        AND planned.at IS NOT NULL
    ON CONFLICT DO NOTHING;
ALTER TABLE intentions.plan FORCE ROW LEVEL SECURITY;
ALTER TABLE intentions.moment FORCE ROW LEVEL SECURITY;
