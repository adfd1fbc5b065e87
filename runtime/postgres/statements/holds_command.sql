-- holds_command: whether a message that was not handled has this name and version.
-- params: name text, version int (three times)
select exists (select from {schema}.messages where type = %s and version = %s)
    or exists (select from {schema}.scheduled where type = %s and version = %s)
    or exists (select from {schema}.dead_letters where type = %s and version = %s)
