-- Who holds any of these advisory locks. A key of 64 bits is shown by PostgreSQL as two halves.
SELECT DISTINCT (l.classid::bigint << 32) | l.objid::bigint, l.pid, a.application_name
FROM pg_locks AS l
LEFT JOIN pg_stat_activity AS a USING (pid)
WHERE l.locktype = 'advisory' AND l.objsubid = 1 AND l.granted
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND ((l.classid::bigint << 32) | l.objid::bigint) = ANY (%s::bigint[])
ORDER BY 1, 2
