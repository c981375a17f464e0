-- A page of the payments that were paid in the window, for a database that has no purchases: student, course, and
-- whether the payment is the only succeeded one of its student that can be for that course.
WITH paid AS MATERIALIZED (
    SELECT {p_id} AS id, {p_student} AS student, {p_course} AS course, {p_paid_at} AS paid_at
    FROM {payments} AS p
    WHERE {p_status} = 'succeeded' AND {p_paid_at} >= %(since)s AND {p_paid_at} < %(until)s
    ORDER BY {p_paid_at}, {p_id}
    LIMIT %(limit)s OFFSET %(offset)s
)
SELECT lower(paid.id::text), lower(paid.student::text), paid.course, paid.paid_at,
       coalesce(paid.course ~ %(uuid)s, false) AND NOT EXISTS (
           SELECT FROM {payments} AS o
           WHERE {o_student} = paid.student AND {o_status} = 'succeeded' AND {o_id} <> paid.id
             AND ({o_course} IS NULL OR {o_course} !~ %(uuid)s OR {o_course} = paid.course)
       )
FROM paid
ORDER BY paid.paid_at, paid.id
