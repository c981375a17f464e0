-- Who waits for a lock in this database, and who is first in its way. Times of other users' sessions may be hidden.
SELECT w.pid, w.relation::bigint, w.mode,
       extract(epoch FROM clock_timestamp() - a.query_start)::float8,
       a.application_name, (pg_blocking_pids(w.pid))[1]
FROM pg_locks AS w
JOIN pg_stat_activity AS a USING (pid)
WHERE NOT w.granted AND a.datname = current_database()
ORDER BY a.query_start NULLS LAST, w.pid
