-- The index of migrations 002 and 020, which may be missing in the field.
CREATE UNIQUE INDEX unique_active_purchase ON student_course_purchases (student_id, course_id) WHERE is_active = true;
