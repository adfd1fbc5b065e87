-- has_question: whether a remote ask is still in the mailbox. It reads what its queue holds: only after a server forgot.
-- params: queue text, key text, ask text
select exists (select from {schema}.messages where queue = %s and key = %s and headers ->> 'ask' = %s)
