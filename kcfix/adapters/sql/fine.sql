-- Of some students, or all: each student and course with exactly one purchase behind which nothing is missing. That is
-- an inactive one, one with a trainer and sessions, or one whose allocation is completed. A student with a purchase of
-- kcfix's own (its id is a UUID of version 5) is left out: it may have moved a payment to another course.
SELECT b.student, {b_course} COLLATE "C" AS course, b.id, b.created_at, b.tier
FROM (
    SELECT {u_student} AS student, {u_course} AS course, {u_one} AS id,
           min({u_created_at}) AS created_at, min({u_tier}) AS tier, bool_or({u_active} IS TRUE) AS active
    FROM {purchases} AS u
    WHERE {u_scope}
    GROUP BY 1, 2
    HAVING count(*) = 1
) AS b
LEFT JOIN (
    SELECT {a_student} AS student, {a_course} AS course,
           bool_or({a_status} IN ('approved', 'active')) AS allocated,
           bool_or({a_status} IN ('approved', 'active') AND {t_allocation} IS NOT NULL) AS with_sessions,
           max({a_requested_at}) FILTER (WHERE {a_status} = 'completed') AS completed_at
    FROM {allocations} AS a
    LEFT JOIN {sessions} AS t ON {t_allocation} = {a_id} AND {t_scope}
    WHERE {a_scope}
    GROUP BY 1, 2
) AS f ON f.student = b.student AND f.course = b.course
WHERE (NOT b.active OR f.with_sessions OR (NOT f.allocated AND f.completed_at >= b.created_at))
  AND NOT EXISTS (
      SELECT FROM {purchases} AS u WHERE {u_scope} AND {u_student} = b.student AND substr({u_id}, 15, 1) = '5'
  )
