-- settle_batch: decide a batch whose answer was lost; returns whether it is void.
-- Waits for a commit that is under way. A marker inserted here means: it did not commit and never will.
-- The update that changes nothing is what makes an existing marker be returned.
-- params: writer uuid, batch bigint
insert into {schema}.commits as c (writer, batch, void) values (%s::uuid, %s::bigint, true)
on conflict (writer, batch) do update set void = c.void
returning void
