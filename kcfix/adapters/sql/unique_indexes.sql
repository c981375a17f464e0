-- Unique indexes of a table on exactly these two columns, whatever they are called: usable or not, and on what condition.
-- Parameters: written (the table, quoted), columns (two names).
SELECT i.indisvalid AND i.indisready AND i.indislive,
       pg_get_expr(i.indpred, i.indrelid)
FROM pg_index AS i
WHERE i.indrelid = to_regclass(%(written)s)
  AND i.indisunique
  AND i.indnkeyatts = 2
  AND (
      SELECT array_agg(a.attname::text ORDER BY a.attname::text COLLATE "C")
      FROM pg_attribute AS a
      WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey[0:1])
  ) = (SELECT array_agg(c ORDER BY c COLLATE "C") FROM unnest(%(columns)s::text[]) AS c)
