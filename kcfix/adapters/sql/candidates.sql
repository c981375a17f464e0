-- Payments that may lack a purchase: all that were paid in the window, less those that clearly have theirs, which are
-- the only succeeded payment of their student for that course and have a purchase made after them. A payment whose
-- course can't be told here (a JSON string, no UUID) is never clearly settled, and makes none of its student's so.
WITH paid AS MATERIALIZED (
    SELECT {p_id} AS id, {p_student} AS student, {p_course} AS course, {p_paid_at} AS paid_at
    FROM {payments} AS p
    WHERE {p_status} = 'succeeded' AND {p_paid_at} >= %(since)s AND {p_paid_at} < %(until)s
), settled AS (
    SELECT paid.id
    FROM paid
    WHERE paid.course ~ %(uuid)s
      AND EXISTS (
          SELECT FROM {purchases} AS u
          WHERE {u_student} = paid.student AND {u_course} = paid.course
            AND {u_created_at} >= paid.paid_at - interval '5 seconds'
      )
      AND NOT EXISTS (
          SELECT FROM {payments} AS o
          WHERE {o_student} = paid.student AND {o_status} = 'succeeded' AND {o_id} <> paid.id
            AND ({o_course} IS NULL OR {o_course} !~ %(uuid)s OR {o_course} = paid.course)
      )
)
SELECT lower(paid.id::text)
FROM paid
WHERE NOT EXISTS (SELECT FROM settled WHERE settled.id = paid.id)
ORDER BY paid.paid_at, paid.id
LIMIT %(limit)s
