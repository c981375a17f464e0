'use strict';

const { EventConsumer } = require('../lib/consumer');
const { IdempotencyGuard } = require('../lib/idempotency');
const { logger, logWithContext } = require('../lib/logger');
const { withRetry } = require('../lib/retry');
const { AllocationService } = require('./allocation-service');

class AllocationWorker {
  constructor({ pool, bus, deadLetters }) {
    this.pool = pool;
    this.bus = bus;
    this.deadLetters = deadLetters;
    this.guard = new IdempotencyGuard(pool, 'allocation-worker');
    this.service = new AllocationService({ pool, bus });
    this.consumer = new EventConsumer({
      groupId: 'trainer-allocation-workers',
      topics: ['purchase-created'],
      handle: (event, position) => this.handle(event, position),
    });
  }

  async start() {
    logger.info('[AllocationWorker] Initialized');
    await this.consumer.start();
    logger.info('[AllocationWorker] Started');
  }

  async handle(event, position) {
    const eventId = event._metadata?.eventId || 'unknown';
    const correlationId = event._metadata?.correlationId || 'unknown';
    logger.info('[AllocationWorker] 📨 Received PURCHASE_CREATED event from Kafka', { eventId, correlationId, ...position });
    const context = {
      workerName: 'allocation-worker', operation: 'allocate_trainer', eventId, correlationId,
      studentId: event.studentId, courseId: event.courseId, purchaseId: event.purchaseId,
    };
    try {
      // 30 s of waiting without a heartbeat: as long as the session, so the member is dropped (mode 9).
      await withRetry(() => this.process(event, context), {
        delaysMs: [2000, 4000, 8000, 16000], operation: 'allocate_trainer', correlationId, eventId,
      });
    } catch (error) {
      logWithContext('error', 'All retries exhausted, sending to DLQ', { ...context, error: error.message });
      await this.deadLetters.publish(event, position, error, 5);
      throw error;
    }
  }

  async process(event, context) {
    const marked = await this.guard.isProcessed(context.eventId, context.correlationId, event.type);
    if (await this.allocationOf(event)) {
      logWithContext('info', 'Allocation already exists, marking event as processed', context);
      await this.guard.markProcessed(context.eventId, context.correlationId, event);
      return;
    }
    if (marked) {
      logWithContext('warn', 'Event marked as processed but allocation does not exist - attempting recovery', context);
    }
    logWithContext('info', 'Calling admin-service allocation API', context);
    const allocation = await this.service.autoAssign({
      studentId: event.studentId, courseId: event.courseId, purchaseTier: event.purchaseTier,
      paymentMetadata: event.metadata,
    });
    logWithContext('info', 'Admin-service allocation API responded', {
      ...context, allocationId: allocation.id, status: allocation.status,
    });
    if (!allocation.trainer_id) {
      throw new Error('Allocation service returned allocation without trainerId');
    }
    if (await this.allocationOf(event)) {
      logWithContext('info', 'Allocation verified in database', { ...context, allocationId: allocation.id });
    }
    logWithContext('info', 'Trainer allocated successfully', {
      ...context, allocationId: allocation.id, trainerId: allocation.trainer_id,
    });
    await this.announce(event, allocation, context);
    await this.guard.markProcessed(context.eventId, context.correlationId, event);
  }

  async allocationOf({ studentId, courseId }) {
    const { rows } = await this.pool.query(
      `SELECT id FROM trainer_allocations
       WHERE student_id = $1 AND course_id = $2 AND status IN ('approved', 'active') LIMIT 1`,
      [studentId, courseId],
    );
    return rows[0];
  }

  async announce(event, allocation, context) {
    await this.bus.emit({
      type: 'TRAINER_ALLOCATED', timestamp: Date.now(), userId: event.studentId, role: 'student',
      allocationId: allocation.id, trainerId: allocation.trainer_id, studentId: event.studentId,
      courseId: event.courseId, sessionCount: event.purchaseTier,
      startDate: allocation.metadata.startDate, endDate: event.metadata?.expiryDate || '',
      metadata: event.metadata,
    }, { eventId: allocation.id, correlationId: context.correlationId });
    logWithContext('info', 'TRAINER_ALLOCATED event emitted to Kafka', { ...context, allocationId: allocation.id });
  }
}

module.exports = { Worker: AllocationWorker, label: 'AllocationWorker', name: 'allocation' };
