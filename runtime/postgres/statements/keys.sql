-- keys: one page of the keys of actors of a kind that have events.
-- params: actor text, after text ('' for the first page), most int
-- One step of the index for each key: the events in between are not visited.
with recursive given as (
    select %s::text as actor, %s::text as after
), found as (
    select (select e.key from {schema}.events e
            where e.actor = given.actor and e.key > given.after order by e.key limit 1) as key
    from given
    union all
    select (select e.key from {schema}.events e
            where e.actor = given.actor and e.key > found.key order by e.key limit 1)
    from found, given where found.key is not null
)
select key from found where key is not null limit %s
