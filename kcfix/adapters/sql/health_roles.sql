-- Users as whom services come, and the rights on tables that they lack. A right on some columns counts as the right.
SELECT n.name, r.oid IS NOT NULL, coalesce(r.rolcanlogin, false),
       coalesce(r.rolvaliduntil < clock_timestamp(), false), r.rolconnlimit,
       (SELECT count(*)::int FROM pg_stat_activity AS a WHERE a.usesysid = r.oid),
       EXISTS (SELECT FROM pg_db_role_setting AS s, unnest(s.setconfig) AS c
               WHERE s.setrole = r.oid
                 AND s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
                 AND c ~ '^default_transaction_read_only=(on|true|yes|1)$'),
       ARRAY(SELECT w.kind || ' ON ' || w.shown
             FROM unnest(%(tables)s::bigint[], %(kinds)s::text[], %(shown)s::text[]) AS w (at, kind, shown)
             WHERE r.oid IS NOT NULL AND NOT has_table_privilege(r.oid, w.at::oid, w.kind)
               AND NOT has_any_column_privilege(r.oid, w.at::oid, w.kind)
             ORDER BY 1)
FROM unnest(%(roles)s::text[]) AS n (name)
LEFT JOIN pg_roles AS r ON r.rolname = n.name
ORDER BY n.name
