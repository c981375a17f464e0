-- Purchases as the worker writes them (docs/system.md 1.2), unless there is an active one by now. Any unique index stops
-- a double quietly: the primary key (kcfix's own id) or unique_active_purchase, whichever of them there is.
INSERT INTO {purchases} ({id}, {student_id}, {course_id}, {purchase_tier}, {expiry_date}, {metadata}, {is_active},
                         {created_at}, {updated_at})
SELECT o.id::{id_type}, o.student::{student_type}, o.course::{course_type}, o.tier, o.expiry::{expiry_type},
       o.metadata::{metadata_type}, true, now(), now()
FROM unnest(%(ids)s::text[], %(students)s::text[], %(courses)s::text[], %(tiers)s::integer[], %(expiries)s::text[],
            %(metadata)s::text[]) AS o (id, student, course, tier, expiry, metadata)
WHERE NOT EXISTS (
    SELECT FROM {purchases} AS u
    WHERE {u_student_id} = o.student::{student_type} AND {u_course_id} = o.course::{course_type} AND {u_is_active}
)
ON CONFLICT DO NOTHING
RETURNING lower({id}::text)
