-- Transactions that have been open for more than ten seconds, that block others, or that keep writers out of a table.
SELECT a.pid, a.usename::text, a.application_name, a.state,
       extract(epoch FROM clock_timestamp() - a.xact_start)::float8,
       CASE WHEN a.state LIKE 'idle in transaction%%' THEN extract(epoch FROM clock_timestamp() - a.state_change)::float8 END,
       ARRAY(SELECT DISTINCT l.relation::bigint FROM pg_locks AS l WHERE l.pid = a.pid AND l.granted
               AND l.relation::bigint = ANY (%(tables)s::bigint[])
               AND l.mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')) AS held
FROM pg_stat_activity AS a
WHERE a.datname = current_database() AND a.pid <> pg_backend_pid() AND a.usesysid IS NOT NULL
  AND (a.xact_start < clock_timestamp() - interval '10 seconds'
       OR a.pid = ANY (%(blockers)s::int[])
       OR EXISTS (SELECT FROM pg_locks AS l WHERE l.pid = a.pid AND l.granted
                    AND l.relation::bigint = ANY (%(tables)s::bigint[])
                    AND l.mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')))
ORDER BY a.xact_start NULLS LAST, a.pid
