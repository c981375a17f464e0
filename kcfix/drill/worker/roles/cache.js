'use strict';

const { EventConsumer } = require('../lib/consumer');
const { IdempotencyGuard } = require('../lib/idempotency');
const { logger, logWithContext } = require('../lib/logger');
const { withRetry } = require('../lib/retry');

/**
 * The drill has no Redis, so nothing is deleted; the lines and the marks are the live worker's. The marks matter: they
 * make allocation-worker and session-worker skip, or recover, events that this group happened to read first.
 */
class CacheWorker {
  constructor({ pool }) {
    this.guard = new IdempotencyGuard(pool, 'cache-worker');
    this.consumer = new EventConsumer({
      groupId: 'cache-invalidation-workers',
      topics: ['purchase-created', 'trainer-allocated', 'sessions-generated'],
      handle: (event) => this.handle(event),
    });
  }

  async start() {
    logger.info('[CacheWorker] Initialized');
    await this.consumer.start();
    logger.info('[CacheWorker] Started');
  }

  /** Every error is swallowed: this group never stands still and never writes a dead letter. */
  async handle(event) {
    const eventId = event._metadata?.eventId || 'unknown';
    const correlationId = event._metadata?.correlationId || 'unknown';
    const context = { workerName: 'cache-worker', operation: 'invalidate_cache', eventId, correlationId };
    try {
      await withRetry(() => this.process(event, context), {
        delaysMs: [500, 1000], operation: 'invalidate_cache', correlationId, eventId,
      });
    } catch (error) {
      logWithContext('error', 'Cache invalidation failed', { ...context, error: error.message });
    }
  }

  async process(event, context) {
    if (await this.guard.isProcessed(context.eventId, context.correlationId, event.type)) {
      logWithContext('info', 'Event already processed, skipping', context);
      return;
    }
    for (const key of [`student:home:${event.studentId}`, `student:learning:${event.studentId}`]) {
      logger.info('Cache invalidated', { key, existedBefore: false, correlationId: context.correlationId });
    }
    await this.guard.markProcessed(context.eventId, context.correlationId, event);
    logWithContext('info', 'Cache invalidation completed', context);
  }
}

module.exports = { Worker: CacheWorker, label: 'CacheWorker', name: 'cache' };
