-- members: the processes whose session lives, the oldest first. One that has gone is forgotten when nothing names
-- it as its owner any more: who takes that over wants to know whether it was about to leave.
-- What a member serves is read again only when it has changed.
-- params: life bigint, known revisions bigint[]
with others as materialized (
    select life, nonce from {schema}.members where life <> %s
), gone as materialized (
    select life, nonce from others where pg_try_advisory_xact_lock_shared(nonce)
), forgotten as (
    delete from {schema}.members m using gone where m.life = gone.life and m.nonce = gone.nonce
      and not exists (select from {schema}.partitions p where p.life = gone.life)
)
select m.life, m.process, m.revision, case when m.revision <> all (%s::bigint[]) then m.queues end
from {schema}.members m
where not exists (select from gone where gone.life = m.life)
order by m.joined_at, m.life
