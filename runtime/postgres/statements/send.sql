-- send: several messages inside the caller's own transaction.
-- params: queue, partition, priority, key, type, version, payload, headers (arrays); rare json;
--         of whom to wake the owners: queue text[], partition smallint[]
select {schema}.send(
    %s::text[], %s::smallint[], %s::smallint[], %s::text[], %s::text[], %s::smallint[], %s::json[], %s::json[],
    %s::json, %s::text[], %s::smallint[])
