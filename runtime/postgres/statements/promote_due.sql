-- promote_due: move due messages into the mailbox.
-- params: most int
select queues, next_due from {schema}.promote_due(%s)
