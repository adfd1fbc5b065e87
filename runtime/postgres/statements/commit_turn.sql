-- commit_turn: a turn in the transaction of its handler, which is committed next.
-- From here on the transaction holds its partition against whoever is to take over. A process that
-- is frozen before the commit must not hold it for as long as it is frozen: the server ends it.
-- params: those of commit_batch
select set_config('idle_in_transaction_session_timeout', '5s', true), {schema}.commit_batch(
    %s::uuid, %s::bigint, %s::bigint[], %s::bigint,
    %s::text[], %s::smallint[], %s::bigint[],
    %s::text[], %s::smallint[], %s::xid8[], %s::bigint[],
    %s::text[], %s::text[], %s::bigint[], %s::text[], %s::smallint[], %s::json[], %s::json[],
    %s::text[], %s::text[], %s::bigint[],
    %s::text[], %s::smallint[], %s::smallint[], %s::text[], %s::text[], %s::smallint[], %s::json[], %s::json[],
    %s::json, %s::text[], %s::smallint[])
