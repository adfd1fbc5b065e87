-- ring: wake every process.
-- params: hint text
select {schema}.ring(%s)
