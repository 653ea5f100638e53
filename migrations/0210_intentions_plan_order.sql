-- Plans in the order in which they are listed: those without a due moment last.
CREATE INDEX plan_order ON intentions.plan (account, kind, coalesce(due_at, 'infinity'::timestamptz), entity)
    WHERE NOT gone;
DROP INDEX intentions.plan_due;
