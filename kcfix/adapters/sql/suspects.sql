-- All payments that were paid in the window, oldest first, each with its purchase where these tables surely call it
-- settled; without `everything` only the others. Settled is
-- the only succeeded payment of its student for that course, if the pair has exactly one purchase, made after it and of
-- the tier that is plainly stated, and what follows the purchase is there, too. Whatever can't be told is no settlement:
-- a course that is no UUID, a tier that is no plain number, a purchase of kcfix's own (its id is a UUID of version 5),
-- which may have moved a payment of that student to another course.
WITH paid AS MATERIALIZED (
    SELECT {p_id} AS id, {p_student} AS student, {p_course} AS course, {p_paid_at} AS paid_at, {p_tier} AS tier
    FROM {payments} AS p
    WHERE {p_status} = 'succeeded' AND {p_paid_at} >= %(since)s AND {p_paid_at} < %(until)s
), customers AS MATERIALIZED (
    SELECT DISTINCT student FROM paid
), bought AS MATERIALIZED (
    SELECT {u_student} AS student, {u_course} AS course, count(*) AS purchases, min({u_id}) AS id,
           min({u_created_at}) AS created_at, min({u_tier}) AS tier, bool_or({u_active} IS TRUE) AS active,
           bool_or(substr({u_id}, 15, 1) = '5') AS own
    FROM {purchases} AS u
    JOIN customers ON customers.student = {u_student}
    GROUP BY 1, 2
), followed AS MATERIALIZED (
    SELECT a.student, a.course, bool_or(a.allocated) AS allocated,
           bool_or(a.allocated AND sessions.allocation IS NOT NULL) AS with_sessions,
           max(a.requested_at) FILTER (WHERE a.status = 'completed') AS completed_at
    FROM (
        SELECT {a_id} AS id, {a_student} AS student, {a_course} AS course, {a_status} AS status,
               {a_status} IN ('approved', 'active') AS allocated, {a_requested_at} AS requested_at
        FROM {allocations} AS a
        JOIN customers ON customers.student = {a_student}
    ) AS a
    LEFT JOIN (SELECT DISTINCT {t_allocation} AS allocation FROM {sessions} AS t) AS sessions
           ON sessions.allocation = a.id AND a.allocated
    GROUP BY 1, 2
), settled AS MATERIALIZED (
    SELECT paid.id, bought.id AS purchase
    FROM paid
    JOIN bought ON bought.student = paid.student AND bought.course = paid.course
    LEFT JOIN followed ON followed.student = paid.student AND followed.course = paid.course
    WHERE paid.course ~ %(uuid)s
      AND bought.purchases = 1
      AND bought.created_at >= paid.paid_at - interval '5 seconds'
      AND bought.tier = paid.tier
      AND (
          NOT bought.active
          OR followed.with_sessions
          OR (NOT followed.allocated AND followed.completed_at >= bought.created_at)
      )
      AND NOT EXISTS (SELECT FROM bought AS own WHERE own.student = paid.student AND own.own)
      AND NOT EXISTS (
          SELECT FROM {payments} AS o
          WHERE {o_student} = paid.student AND {o_status} = 'succeeded' AND {o_id} <> paid.id
            AND ({o_course} IS NULL OR {o_course} !~ %(uuid)s OR {o_course} = paid.course)
      )
)
SELECT lower(paid.id::text), settled.purchase
FROM paid
LEFT JOIN settled ON settled.id = paid.id
WHERE settled.id IS NULL OR %(everything)s
ORDER BY paid.paid_at, paid.id
