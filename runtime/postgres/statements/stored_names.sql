-- stored_names: everything that an app will have to read: where it lies, for whom, its name and version.
-- params: none
select 'events' as place, 'event' as kind, actor as owner, type as name, version::int as version, count(*) as count
from {schema}.events group by actor, type, version
union all
select 'messages', 'command', queue, type, version, count(*) from {schema}.messages group by queue, type, version
union all
select 'scheduled', 'command', queue, type, version, count(*) from {schema}.scheduled group by queue, type, version
union all
select 'dead letters', 'command', queue, type, version, count(*)
from {schema}.dead_letters group by queue, type, version
union all
select 'snapshots', 'state', actor, actor, state_version, count(*)
from {schema}.snapshots group by actor, state_version
order by 1, 3, 4, 5
