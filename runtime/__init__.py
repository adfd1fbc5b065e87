"""The machinery that runs actors: sessions, mailboxes and the journal, over PostgreSQL."""
