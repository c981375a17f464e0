-- The columns of a table that lead a usable index, so that some of its rows are found without reading all of them.
SELECT DISTINCT a.attname::text
FROM pg_index AS i
JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
WHERE i.indrelid = to_regclass(%(written)s) AND i.indisvalid AND i.indpred IS NULL
