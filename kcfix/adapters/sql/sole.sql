-- The succeeded payments of some students, or all: which one is the only one of its student that can be for its course.
-- A course that is no lower-case UUID can't be told here (a JSON string, a slip), and makes none of its student's so.
-- One window serves for all of it: false sorts before true, so that the first of a student is not clear if any is not;
-- and its count reaches to the last payment of the same course, its rank is that of the first.
-- What counts as a UUID: three cheap tests that say together what one pattern would say four times as slowly.
SELECT p.id, p.student, p.course, p.paid_at, p.tier,
       count(*) OVER by_course = rank() OVER by_course AND first_value(p.clear) OVER by_course AS sole
FROM (
    SELECT q.*,
           coalesce(
               q.course LIKE '________-____-____-____-____________'
               AND q.course ~ '^[0-9a-f-]*$'
               AND length(replace(q.course, '-', '')) = 32,
               false
           ) AS clear
    FROM (
        SELECT {p_id} AS id, {p_student} AS student, {p_course} COLLATE "C" AS course, {p_paid_at} AS paid_at,
               {p_tier} AS tier
        FROM {payments} AS p
        WHERE {p_status} = 'succeeded' AND {p_scope}
        OFFSET 0
    ) AS q
) AS p
WINDOW by_course AS (PARTITION BY p.student ORDER BY p.clear, p.course)
