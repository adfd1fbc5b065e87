-- surviving_commits: which markers of a process a server has, and the newest of all that it has.
-- params: batch bigint[], writer uuid
select array_agg(batch) filter (where batch = any (%s::bigint[])), max(batch)
from {schema}.commits where writer = %s::uuid and not void
