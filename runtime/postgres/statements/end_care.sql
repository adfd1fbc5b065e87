-- end_care: what was to be begun with care is through; nothing of these partitions is suspected any more.
-- params: queue text[], partition smallint[], epoch bigint[], nonce bigint
with through as (
    update {schema}.partitions p set careful = null
    from unnest(%s::text[], %s::smallint[], %s::bigint[]) as w (queue, partition, epoch)
    where p.queue = w.queue and p.partition = w.partition and p.epoch = w.epoch and p.nonce = %s
    returning p.queue, p.partition, p.life
), acquitted as (
    delete from {schema}.suspects s using through
    where s.queue = through.queue and s.partition = through.partition
)
delete from {schema}.trials t using through
where t.queue = through.queue and t.partition = through.partition and t.life = through.life
