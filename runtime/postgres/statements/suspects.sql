-- suspects: those of some messages that are suspected of having ended their process.
-- params: ids bigint[]
select id, level, deaths, patience from {schema}.suspects where id = any (%s::bigint[])
