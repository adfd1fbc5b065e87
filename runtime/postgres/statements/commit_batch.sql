-- commit_batch: one batch of finished turns, or nothing of it.
-- params: those of the function, in its order
select {schema}.commit_batch(
    %s::uuid, %s::bigint, %s::bigint[], %s::bigint,
    %s::text[], %s::smallint[], %s::bigint[],
    %s::text[], %s::smallint[], %s::xid8[], %s::bigint[],
    %s::text[], %s::text[], %s::bigint[], %s::text[], %s::smallint[], %s::json[], %s::json[],
    %s::text[], %s::text[], %s::bigint[],
    %s::text[], %s::smallint[], %s::smallint[], %s::text[], %s::text[], %s::smallint[], %s::json[], %s::json[],
    %s::json, %s::text[], %s::smallint[])
