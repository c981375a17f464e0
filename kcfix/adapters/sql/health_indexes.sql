-- Indexes on these tables: name, unique, valid.
SELECT c.relname::text, i.indisunique, i.indisvalid
FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
WHERE i.indrelid::bigint = ANY (%(tables)s::bigint[])
ORDER BY 1
