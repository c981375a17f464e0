-- Which database this is. The session's own transaction is read-only, so that its default is asked instead.
SELECT current_database()::text,
       current_user::text,
       current_setting('server_version'),
       clock_timestamp(),
       pg_is_in_recovery() OR current_setting('default_transaction_read_only') = 'on',
       coalesce(has_function_privilege(to_regprocedure('pg_control_system()')::oid, 'EXECUTE'), false),
       pg_is_in_recovery()
