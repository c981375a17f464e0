'use strict';

const crypto = require('node:crypto');
const { EventConsumer } = require('../lib/consumer');
const { IdempotencyGuard } = require('../lib/idempotency');
const { logger, logWithContext } = require('../lib/logger');
const { withRetry } = require('../lib/retry');
const { PurchaseStore, purchaseRow } = require('./purchase-store');

const ABORTED = ['42P10', '25P02'];

class PurchaseWorker {
  constructor({ pool, bus, deadLetters }) {
    this.pool = pool;
    this.bus = bus;
    this.deadLetters = deadLetters;
    this.guard = new IdempotencyGuard(pool, 'purchase-worker');
    this.store = new PurchaseStore(pool);
    this.consumer = new EventConsumer({
      groupId: 'purchase-creation-workers',
      topics: ['purchase-confirmed'],
      handle: (event, position) => this.handle(event, position),
    });
  }

  async start() {
    await this.store.indexPresent();
    logger.info('[PurchaseWorker] Initialized');
    await this.consumer.start();
    logger.info('[PurchaseWorker] Started');
  }

  async handle(event, position) {
    const eventId = event._metadata?.eventId || 'unknown';
    const correlationId = event._metadata?.correlationId || 'unknown';
    logger.info('[PurchaseWorker] 📨 Received PURCHASE_CONFIRMED event from Kafka', { eventId, correlationId, ...position });
    const context = {
      workerName: 'purchase-worker', operation: 'create_purchase', eventId, correlationId,
      studentId: event.studentId, courseId: event.courseId, paymentId: event.paymentId,
    };
    try {
      await withRetry(() => this.process(event, context), {
        delaysMs: [1000, 2000], operation: 'create_purchase', correlationId, eventId,
      });
    } catch (error) {
      logWithContext('error', 'Failed to process PURCHASE_CONFIRMED event', { ...context, error: error.message });
      logWithContext('error', 'All retries exhausted, sending to DLQ', { ...context, error: error.message });
      await this.deadLetters.publish(event, position, error, 3);
      throw error;
    }
  }

  async process(event, context) {
    logWithContext('info', 'Processing PURCHASE_CONFIRMED event', context);
    const marked = await this.guard.isProcessed(context.eventId, context.correlationId, event.type);
    const existing = await this.store.activePurchase(this.pool, event);
    if (existing) {
      await this.finish(event, existing, context);
      return;
    }
    if (marked) {
      logWithContext('warn', '⚠️ RECOVERY: Event marked as processed but purchase missing', context);
    }
    logWithContext('info', 'Creating new purchase (normal flow)', context);
    const row = purchaseRow(event, await this.paymentMetadata(event, context));
    try {
      await this.create(event, row, context);
    } catch (error) {
      logWithContext('error', 'Purchase creation failed', { ...context, error: error.message });
      throw error;
    }
  }

  /** A purchase is there already: nothing to do, or the announcement again where no trainer was allocated. */
  async finish(event, purchase, context) {
    logWithContext('info', 'Purchase already exists, checking if allocation exists', {
      ...context, purchaseId: purchase.id,
    });
    if (!(await this.store.hasAllocation(event))) {
      await this.announce(event, purchase.id, purchase.purchase_tier, purchase.metadata, {
        ...context, announcedAs: `purchase-created-${purchase.id}-recovery`,
      });
    }
    await this.guard.markProcessed(context.eventId, context.correlationId, event);
  }

  async paymentMetadata(event, context) {
    const { rows } = await this.pool.query('SELECT metadata FROM payments WHERE id = $1', [event.paymentId]);
    if (rows.length === 0) {
      logWithContext('warn', 'Payment record not found, using event metadata only', context);
      return undefined;
    }
    const { metadata } = rows[0];
    return (typeof metadata === 'string' ? JSON.parse(metadata) : metadata) ?? {};
  }

  async create(event, row, context) {
    const client = await this.pool.connect();
    let purchaseId;
    let rolledBack = false;
    try {
      await client.query('BEGIN');
      purchaseId = await this.store.insert(client, row);
      logWithContext('info', 'Purchase created successfully in transaction', { ...context, purchaseId });
      await this.guard.markProcessed(context.eventId, context.correlationId, event);
      await client.query('COMMIT');
      logWithContext('info', 'Transaction committed successfully', { ...context, purchaseId });
    } catch (error) {
      rolledBack = true;
      await client.query('ROLLBACK').catch(() => undefined);
      if (!ABORTED.includes(error.code)) throw error;
      logWithContext('warn', 'Transaction aborted or constraint error, using fallback method with new client', {
        ...context, error: error.message, errorCode: error.code,
      });
    } finally {
      client.release();
    }
    if (rolledBack) {
      await this.createWithNewClient(event, row, context);
      return;
    }
    logWithContext('info', '✅ Purchase created and event marked as processed', { ...context, purchaseId });
    await this.announce(event, purchaseId, row.tier, event.metadata, { ...context, announcedAs: purchaseId });
    await this.notify(event, purchaseId, context);
  }

  async createWithNewClient(event, row, context) {
    const client = await this.pool.connect();
    let purchaseId;
    try {
      await client.query('BEGIN');
      purchaseId = await this.store.lockedInsert(client, row);
      await this.guard.markProcessed(context.eventId, context.correlationId, event);
      await client.query('COMMIT');
    } catch (error) {
      await client.query('ROLLBACK').catch(() => undefined);
      logWithContext('error', 'Fallback method also failed', { ...context, error: error.message });
      throw error;
    } finally {
      client.release();
    }
    logWithContext('info', 'Purchase created successfully using fallback method', { ...context, purchaseId });
    logWithContext('info', '✅ Purchase created and event marked as processed', { ...context, purchaseId });
    await this.announce(event, purchaseId, row.tier, event.metadata, {
      ...context, announcedAs: `purchase-created-${purchaseId}`,
    });
  }

  async announce(event, purchaseId, purchaseTier, metadata, { announcedAs, ...context }) {
    const { paymentId, studentId, courseId } = event;
    const correlationId = context.correlationId === 'unknown' ? paymentId : context.correlationId;
    const body = {
      timestamp: Date.now(), userId: studentId, role: 'student', purchaseId, studentId, courseId, purchaseTier, metadata,
    };
    await this.bus.emit({ type: 'PURCHASE_CREATED', ...body }, { eventId: announcedAs, correlationId });
    logWithContext('info', 'PURCHASE_CREATED event emitted to Kafka', { ...context, purchaseId });
    const eventId = `course-access-granted-${purchaseId}`;
    await this.bus.emit({ type: 'COURSE_ACCESS_GRANTED', ...body }, { eventId, correlationId });
  }

  /** A failed notification is logged and forgotten: the purchase stands without it. */
  async notify(event, purchaseId, context) {
    const eventId = `notif-${context.correlationId || 'nil'}-${Date.now()}-${crypto.randomBytes(4).toString('hex')}`;
    const notification = {
      type: 'NOTIFICATION_REQUESTED', timestamp: Date.now(), userId: event.studentId, role: 'student',
      notificationType: 'purchase', title: 'Purchase confirmed', body: 'Your course purchase is confirmed.',
      data: { purchaseId, courseId: event.courseId },
    };
    try {
      await this.bus.emit(notification, { eventId, correlationId: context.correlationId });
    } catch (error) {
      logWithContext('warn', 'Failed to emit purchase notification (non-critical)', { ...context, error: error.message });
    }
  }
}

module.exports = { Worker: PurchaseWorker, label: 'PurchaseWorker', name: 'purchase' };
