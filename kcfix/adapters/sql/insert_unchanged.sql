-- Purchases as the worker writes them (docs/system.md 1.2) for the payments that stand as they were read: whether they
-- do (the last FROM item and its condition) and the insert are one statement, so nothing comes between the two.
-- Where a unique index forbids one of them all the same, none is made here, and each is looked at by itself: that is
-- rare, and to be ready for a conflict of each row would cost a fifth more.
INSERT INTO {purchases} ({id}, {student_id}, {course_id}, {purchase_tier}, {expiry_date}, {metadata}, {is_active},
                         {created_at}, {updated_at})
SELECT o.id, o.student, o.course, o.tier, o.expiry::{expiry_type}, {composed}, true, now(), now()
FROM unnest(string_to_array(%(payments)s, ',')::uuid[], string_to_array(%(versions)s, ',')::xid[],
            string_to_array(%(students)s, ',')::uuid[], string_to_array(%(courses)s, ',')::uuid[],
            string_to_array(%(ids)s, ',')::uuid[], string_to_array(%(tiers)s, ',')::integer[], %(expiries)s::text[],
            %(metadata)s::text[]) AS o (payment, version, student, course, id, tier, expiry, metadata), {stands}
RETURNING lower({id}::text)
