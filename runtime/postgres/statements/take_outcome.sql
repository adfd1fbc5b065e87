-- take_outcome: the reply to a remote ask.
-- It writes, so that its own acknowledgement covers the commit that stored the reply: one that was seen before it had
-- reached a synchronous standby could be lost with its server, after the asker was told.
-- params: id text
update {schema}.outcomes set expires_at = expires_at
where id = %s and expires_at > statement_timestamp() returning outcome::text
