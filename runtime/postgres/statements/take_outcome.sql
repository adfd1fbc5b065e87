-- take_outcome: the reply to a remote ask.
-- params: id text
select outcome::text from {schema}.outcomes where id = %s and expires_at > clock_timestamp()
