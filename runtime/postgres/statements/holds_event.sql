-- holds_event: whether the journal has an event of this name and version. It may read all of it.
-- params: name text, version int
select exists (select from {schema}.events where type = %s and version = %s)
