-- spine: the dead letters of a queue, for the service whose queue it is. A job whose process was killed, or that took too
-- long too often, ends without its handler's word; by this the service learns of it. Those of the last so many seconds, the newest first.

create function mq.dead_letters(p_queue text, p_within double precision) returns table (data jsonb, reason text)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select j.data, j.source_output ->> 'message'
    from pgboss.job j
    where j.name = p_queue || '-dead' and j.created_on >= now() - make_interval(secs => p_within)
    order by j.created_on desc, j.id
    limit 1000
$$;

revoke execute on function mq.dead_letters from public;
grant execute on function mq.dead_letters to allod_app;
-- Whoever is to own a function must be allowed to create in its schema; only for as long as it takes.
grant create on schema mq to allod_definer;
alter function mq.dead_letters owner to allod_definer;
revoke create on schema mq from allod_definer;
