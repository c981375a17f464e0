-- Made-up rows that the flow needs before the first payment: the system admin who approves allocations, four
-- courses, and trainers enough for some thousand purchases a time slot (each takes five).
INSERT INTO admin_users (id, email) VALUES ('00000000-0000-0000-0000-000000000001', 'system@drill.example');

INSERT INTO courses (id, title, category, price)
SELECT ('00000000-0000-4000-9000-' || lpad(n::text, 12, '0'))::uuid, 'Drill course ' || n, 'coding', 3600
FROM generate_series(1, 4) AS n;

INSERT INTO trainers (id)
SELECT ('00000000-0000-4000-a000-' || lpad(n::text, 12, '0'))::uuid FROM generate_series(1, 1000) AS n;
