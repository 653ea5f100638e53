-- spine: dead letters are told to the account that they are of; across accounts only whose there are.

create or replace function mq.dead_letters(p_queue text, p_within double precision) returns table (data jsonb, reason text)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select j.data, j.source_output ->> 'message'
    from pgboss.job j
    where j.name = p_queue || '-dead' and j.created_on >= now() - make_interval(secs => p_within)
        and j.data ->> 'account' = spine.account()::text
    order by j.created_on desc, j.id
    limit 1000
$$;

-- Whose jobs were given up within so many seconds. Ids only.
create function mq.accounts_with_dead_letters(p_queue text, p_within double precision) returns table (account uuid)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select distinct (j.data ->> 'account')::uuid
    from pgboss.job j
    where j.name = p_queue || '-dead' and j.created_on >= now() - make_interval(secs => p_within)
        and j.data ->> 'account' ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
    limit 1000
$$;

revoke execute on function mq.accounts_with_dead_letters from public;
grant execute on function mq.accounts_with_dead_letters to allod_app;
-- Whoever is to own a function must be allowed to create in its schema; only for as long as it takes.
grant create on schema mq to allod_definer;
alter function mq.accounts_with_dead_letters owner to allod_definer;
revoke create on schema mq from allod_definer;
