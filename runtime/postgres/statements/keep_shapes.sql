-- keep_shapes: keep the shapes of some of an app's classes.
-- params: app text, kind text[], name text[], version int[], shape text[]
insert into {schema}.shapes as old (app, kind, name, version, shape)
select given.app, each.kind, each.name, each.version, each.shape
from (select %s::text as app) as given
cross join unnest(%s::text[], %s::text[], %s::int[], %s::text[]) as each (kind, name, version, shape)
order by each.kind, each.name, each.version
on conflict (app, kind, name, version) do update set shape = excluded.shape, kept_at = now()
where old.shape <> excluded.shape
