-- _starts: where both forms of the load begin in each stream: at its newest number and its newest usable snapshot. A part,
-- no statement.
left join lateral (
    select seq from {schema}.events n where n.actor = given.actor and n.key = wanted.key
    order by seq desc limit 1
) as newest on true
left join lateral (
    select s.seq, s.state_version, s.state from {schema}.snapshots s
    where wanted.after is null and s.actor = given.actor and s.key = wanted.key
      and s.state_version <= given.state_version and s.seq <= newest.seq
    order by s.seq desc limit 1
) as snapshot on true
