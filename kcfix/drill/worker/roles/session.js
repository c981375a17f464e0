'use strict';

const { EventConsumer } = require('../lib/consumer');
const { IdempotencyGuard } = require('../lib/idempotency');
const { logger, logWithContext } = require('../lib/logger');
const { withRetry } = require('../lib/retry');

const WINDOW = 7;
const SLOT = '4:00 PM';

class SessionWorker {
  constructor({ pool, bus, deadLetters }) {
    this.pool = pool;
    this.bus = bus;
    this.deadLetters = deadLetters;
    this.guard = new IdempotencyGuard(pool, 'session-worker');
    this.consumer = new EventConsumer({
      groupId: 'session-scheduling-workers',
      topics: ['trainer-allocated'],
      handle: (event, position) => this.handle(event, position),
    });
  }

  async start() {
    logger.info('[SessionWorker] Initialized');
    await this.consumer.start();
    logger.info('[SessionWorker] Started');
  }

  async handle(event, position) {
    const eventId = event._metadata?.eventId || 'unknown';
    const correlationId = event._metadata?.correlationId || 'unknown';
    const context = {
      workerName: 'session-worker', operation: 'create_sessions', eventId, correlationId,
      allocationId: event.allocationId, studentId: event.studentId,
    };
    try {
      await withRetry(() => this.process(event, context), {
        delaysMs: [1000, 2000], operation: 'create_sessions', correlationId, eventId,
      });
    } catch (error) {
      logWithContext('error', 'All retries exhausted, sending to DLQ', { ...context, error: error.message });
      await this.deadLetters.publish(event, position, error, 3);
      throw error;
    }
  }

  /** Seven weekday sessions at 4:00 PM, whatever was chosen, without a course: as the live worker makes them. */
  async process(event, context) {
    if (await this.guard.isProcessed(context.eventId, context.correlationId, event.type)) {
      logWithContext('info', 'Event already processed, skipping', context);
      return;
    }
    logWithContext('info', 'Processing TRAINER_ALLOCATED event', context);
    const { rows } = await this.pool.query(
      `INSERT INTO tutoring_sessions (allocation_id, student_id, trainer_id, scheduled_date, scheduled_time, status)
       SELECT $1, $2, $3, day::date, $5, 'scheduled'
       FROM generate_series($4::date, $4::date + 14, '1 day') AS day
       WHERE extract(isodow FROM day) < 6 ORDER BY day LIMIT $6
       ON CONFLICT (allocation_id, scheduled_date, scheduled_time) DO NOTHING RETURNING id`,
      [event.allocationId, event.studentId, event.trainerId, event.startDate, SLOT, WINDOW],
    );
    logWithContext('info', 'Sessions created successfully', { ...context, sessionCount: rows.length });
    await this.guard.markProcessed(context.eventId, context.correlationId, event);
    await this.bus.emit({
      type: 'SESSIONS_GENERATED', timestamp: Date.now(), userId: event.studentId, role: 'student',
      allocationId: event.allocationId, trainerId: event.trainerId, studentId: event.studentId,
      courseId: event.courseId, sessionCount: rows.length, sessionIds: rows.map((row) => row.id),
      startDate: event.startDate,
    }, { eventId: `sessions-generated-${event.allocationId}-${Date.now()}`, correlationId: context.correlationId });
  }
}

module.exports = { Worker: SessionWorker, label: 'SessionWorker', name: 'session' };
