-- resume: let the messages of a parked key be tried again; returns how many waited.
-- params: queue text, key text
select {schema}.resume(%s::text, %s::text)
