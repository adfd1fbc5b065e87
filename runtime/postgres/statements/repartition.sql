-- repartition: change the number of partitions of every queue; returns how many messages were placed anew.
-- params: wanted int
select {schema}.repartition(%s::int)
