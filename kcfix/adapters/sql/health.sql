-- The server as a whole. The session's own transaction is read-only, so that its default is asked instead.
SELECT clock_timestamp(), pg_is_in_recovery(),
       current_setting('default_transaction_read_only') = 'on',
       EXISTS (SELECT FROM pg_db_role_setting AS s, unnest(s.setconfig) AS c
               WHERE s.setrole = 0
                 AND s.setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())
                 AND c ~ '^default_transaction_read_only=(on|true|yes|1)$'),
       (SELECT count(*)::int FROM pg_stat_activity WHERE datid IS NOT NULL AND usesysid IS NOT NULL),
       current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
         - coalesce(current_setting('reserved_connections', true), '0')::int,
       pg_has_role(current_user, 'pg_read_all_stats', 'USAGE')
