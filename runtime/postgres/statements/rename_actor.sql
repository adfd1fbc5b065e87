-- rename_actor: give an actor's journal, messages and snapshots another name; returns how many events there were.
-- params: old name text, new name text
select {schema}.rename_actor(%s::text, %s::text)
