-- Which of the wanted tables there are on the search path, and their columns. A domain counts as its base type.
-- Parameters: names (kcfix's), written (quoted as SQL identifiers), in the same order.
SELECT want.name,
       a.attname::text,
       format_type(coalesce(nullif(t.typbasetype, 0), t.oid), NULL),
       has_column_privilege(c.oid, a.attnum, 'SELECT'),
       has_any_column_privilege(c.oid, 'UPDATE'),
       c.relkind = 'r' AND has_table_privilege(c.oid, 'SELECT')
FROM unnest(%(names)s::text[], %(written)s::text[]) AS want (name, written)
JOIN pg_class AS c ON c.oid = to_regclass(want.written)
JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_type AS t ON t.oid = a.atttypid
ORDER BY want.name, a.attnum
