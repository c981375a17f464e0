-- processed_events, shape C: as course-service makes it at start, or shape A after migration 025.
CREATE TABLE processed_events (
    event_id text PRIMARY KEY,
    correlation_id uuid NOT NULL,
    event_type varchar(100) NOT NULL,
    payload jsonb NOT NULL,
    source varchar(100) NOT NULL,
    version varchar(20) NOT NULL DEFAULT '1.0.0',
    processed_at timestamptz NOT NULL DEFAULT now(),
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX idx_processed_events_idempotency ON processed_events (correlation_id, event_type);
CREATE INDEX idx_processed_events_correlation_type ON processed_events (correlation_id, event_type);
CREATE INDEX idx_processed_events_source ON processed_events (source);
CREATE INDEX idx_processed_events_type ON processed_events (event_type);
CREATE INDEX idx_processed_events_source_type ON processed_events (source, event_type);
