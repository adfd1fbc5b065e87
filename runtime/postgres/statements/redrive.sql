-- redrive: put dead letters back into their mailboxes, as new arrivals.
-- params: ids bigint[] or null, queue text or null
select {schema}.redrive(%s::bigint[], %s::text)
