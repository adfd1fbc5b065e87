-- depth: how many messages a queue holds, counted no further than is asked.
-- params: queue text, most int
select count(*) from (select from {schema}.messages where queue = %s limit %s) as counted
