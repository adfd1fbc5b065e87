-- shapes: the shapes of the classes of every app.
-- params: none
select app, kind, name, version, shape from {schema}.shapes order by app, kind, name, version
