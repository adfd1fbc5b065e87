-- oldest_xmin: who keeps the server from removing dead rows, the worst first.
-- params: none
select holder, age from (
    select 'session ' || pid || coalesce(' of ' || nullif(application_name, ''), '')
           || coalesce(', ' || state || ' for '
                       || round(extract(epoch from clock_timestamp() - xact_start)) || ' s', '') as holder,
           age(backend_xmin) as age
    from pg_catalog.pg_stat_activity where backend_xmin is not null and pid <> pg_backend_pid()
      and coalesce(backend_type, '') <> 'autovacuum worker'  -- a vacuum keeps nothing from another one
    union all
    select 'prepared transaction ' || gid, age(transaction) from pg_catalog.pg_prepared_xacts
    union all
    select 'replication slot ' || slot_name, greatest(age(xmin), age(catalog_xmin))
    from pg_catalog.pg_replication_slots where xmin is not null or catalog_xmin is not null
) as holders
order by age desc limit 1
