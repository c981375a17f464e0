-- Of these payments (ids) those that the tables surely call settled, each with its purchase. Settled is the only
-- succeeded payment of its student for that course, if the pair has exactly one purchase, made after it and of the tier
-- that is plainly stated, and what follows the purchase is there, too. Whatever can't be told is no settlement: a course
-- that is no UUID, a tier that is no plain number, a purchase of kcfix's own (its id is a UUID of version 5), which may
-- have moved a payment of that student to another course.
--
-- It is asked for a page of payments (ids, students) at a time, and nested loops are off: the arrays lead to the indexes,
-- and everything else is a hash join, however wrong the planner's guesses are.
WITH paid AS MATERIALIZED (
    SELECT {p_id} AS id, {p_student} AS student, {p_course} AS course, {p_paid_at} AS paid_at, {p_tier} AS tier
    FROM {payments} AS p
    WHERE {p_these}
), bought AS MATERIALIZED (
    SELECT {u_student} AS student, {u_course} AS course, count(*) AS purchases, min({u_id}) AS id,
           min({u_created_at}) AS created_at, min({u_tier}) AS tier, bool_or({u_active} IS TRUE) AS active,
           bool_or(substr({u_id}, 15, 1) = '5') AS own
    FROM {purchases} AS u
    WHERE {u_these}
    GROUP BY 1, 2
), followed AS MATERIALIZED (
    SELECT {a_student} AS student, {a_course} AS course,
           bool_or({a_status} IN ('approved', 'active')) AS allocated,
           bool_or(
               {a_status} IN ('approved', 'active')
               AND EXISTS (SELECT FROM {sessions} AS t WHERE {t_allocation} = {a_id})
           ) AS with_sessions,
           max({a_requested_at}) FILTER (WHERE {a_status} = 'completed') AS completed_at
    FROM {allocations} AS a
    WHERE {a_these}
    GROUP BY 1, 2
), others AS MATERIALIZED (
    SELECT {o_id} AS id, {o_student} AS student, {o_course} AS course
    FROM {payments} AS o
    WHERE {o_these} AND {o_status} = 'succeeded'
)
SELECT lower(paid.id::text), bought.id
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
      SELECT FROM others AS o
      WHERE o.student = paid.student AND o.id <> paid.id
        AND (o.course IS NULL OR o.course !~ %(uuid)s OR o.course = paid.course)
  )
