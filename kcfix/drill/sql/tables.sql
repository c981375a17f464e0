-- The tables that the purchase flow reads and writes, in the shapes that the services create at start
-- (docs/system.md 1). processed_events has files of its own, one for each shape that is found in the field.

CREATE TABLE students (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    auth_id uuid,
    email text,
    name text,
    role text NOT NULL DEFAULT 'student',
    status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'inactive', 'suspended')),
    phone text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE student_profiles (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    student_id uuid NOT NULL UNIQUE,
    full_name text,
    gender text,
    address text,
    latitude numeric(10, 8),
    longitude numeric(11, 8),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE courses (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    title text NOT NULL,
    category text,
    price numeric(10, 2),
    status text NOT NULL DEFAULT 'published' CHECK (status IN ('draft', 'published', 'archived')),
    is_active boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE admin_users (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    email text,
    role text NOT NULL DEFAULT 'admin',
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE trainers (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    status text NOT NULL DEFAULT 'active',
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE payments (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    student_id uuid NOT NULL,
    amount_cents integer NOT NULL CHECK (amount_cents > 0),
    currency varchar(10) NOT NULL DEFAULT 'INR',
    status varchar(20) NOT NULL DEFAULT 'initiated',
    payment_method varchar(50),
    provider varchar(50),
    provider_payment_id text,
    description text,
    metadata jsonb,
    payment_url text,
    expires_at timestamptz,
    confirmed_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (provider, provider_payment_id)
);
CREATE INDEX idx_payments_student ON payments (student_id);
CREATE INDEX idx_payments_status ON payments (status);
CREATE INDEX idx_payments_student_status_created ON payments (student_id, status, created_at DESC);

CREATE TABLE student_course_purchases (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    student_id uuid NOT NULL,
    course_id uuid NOT NULL REFERENCES courses (id) ON DELETE CASCADE,
    purchase_tier integer NOT NULL CHECK (purchase_tier IN (10, 20, 30)),
    purchase_date timestamptz NOT NULL DEFAULT now(),
    expiry_date timestamptz,
    metadata jsonb,
    is_active boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX idx_purchases_student_id ON student_course_purchases (student_id);
CREATE INDEX idx_purchases_course_id ON student_course_purchases (course_id);
CREATE INDEX idx_purchases_active ON student_course_purchases (student_id, course_id) WHERE is_active = true;
CREATE INDEX idx_purchases_tier ON student_course_purchases (purchase_tier);
CREATE INDEX idx_purchases_student_created ON student_course_purchases (student_id, created_at DESC);

CREATE FUNCTION update_student_course_purchases_updated_at() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at = now();
    RETURN NEW;
END;
$$;
CREATE TRIGGER update_student_course_purchases_updated_at
    BEFORE UPDATE ON student_course_purchases
    FOR EACH ROW EXECUTE FUNCTION update_student_course_purchases_updated_at();

CREATE TABLE trainer_allocations (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    student_id uuid NOT NULL,
    trainer_id uuid,
    course_id uuid,
    requested_by uuid NOT NULL,
    requested_at timestamptz NOT NULL DEFAULT now(),
    status text NOT NULL DEFAULT 'pending'
        CHECK (status IN ('pending', 'approved', 'rejected', 'active', 'completed', 'cancelled')),
    allocated_by uuid REFERENCES admin_users (id),
    allocated_at timestamptz,
    rejected_by uuid REFERENCES admin_users (id),
    rejected_at timestamptz,
    rejection_reason text,
    notes text,
    metadata jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX idx_allocations_unique_approved ON trainer_allocations
    (student_id, trainer_id, COALESCE(course_id, '00000000-0000-0000-0000-000000000000'::uuid))
    WHERE status = 'approved';
CREATE INDEX idx_allocations_student ON trainer_allocations (student_id);
CREATE INDEX idx_allocations_trainer ON trainer_allocations (trainer_id);

CREATE TABLE tutoring_sessions (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    allocation_id uuid NOT NULL REFERENCES trainer_allocations (id) ON DELETE CASCADE,
    student_id uuid NOT NULL,
    trainer_id uuid NOT NULL,
    course_id uuid,
    scheduled_date date NOT NULL,
    scheduled_time varchar(20) NOT NULL,
    duration integer NOT NULL DEFAULT 40,
    status text NOT NULL DEFAULT 'scheduled' CHECK (status IN (
        'scheduled', 'pending_verification', 'in_progress', 'pending_confirmation', 'completed', 'disputed', 'cancelled'
    )),
    notes text,
    metadata jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT unique_session_slot UNIQUE (allocation_id, scheduled_date, scheduled_time)
);
CREATE INDEX idx_sessions_student ON tutoring_sessions (student_id);
