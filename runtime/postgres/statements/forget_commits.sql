-- forget_commits: delete the markers that processes left when they ended.
-- A request that is a week late would find its partitions in other hands, and its messages gone.
delete from {schema}.commits where at < now() - interval '7 days'
