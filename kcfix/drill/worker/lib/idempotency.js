'use strict';

const { logger } = require('./logger');

/** The payload that is recorded: the event without `_metadata`. */
function payloadOf(event) {
  const { _metadata, ...payload } = event;
  return payload;
}

/**
 * The mark table of all workers. It always works on the pool, never on the caller's client: a mark made inside a
 * transaction stays when the transaction is rolled back (docs/system.md 2.7), and kcfix has to live with that.
 */
class IdempotencyGuard {
  constructor(pool, source) {
    this.pool = pool;
    this.source = source;
  }

  async isProcessed(eventId, correlationId, eventType) {
    try {
      const { rowCount } = await this.pool.query(
        'SELECT 1 FROM processed_events WHERE event_id = $1 OR (correlation_id = $2 AND event_type = $3) LIMIT 1',
        [eventId, correlationId, eventType],
      );
      if (rowCount > 0) {
        logger.info('[IdempotencyGuard] Event already processed', { eventId, correlationId, eventType });
      }
      return rowCount > 0;
    } catch (error) {
      logger.error('[IdempotencyGuard] Failed to check processed event', { eventId, correlationId, error: error.message });
      return false;
    }
  }

  async markProcessed(eventId, correlationId, event) {
    const eventType = event.type;
    try {
      await this.pool.query(
        `INSERT INTO processed_events (event_id, correlation_id, event_type, payload, source, version)
         VALUES ($1, $2, $3, $4, $5, '1.0.0') ON CONFLICT (event_id) DO NOTHING`,
        [eventId, correlationId, eventType, JSON.stringify(payloadOf(event)), this.source],
      );
      logger.info('[IdempotencyGuard] Event marked as processed', { eventId, correlationId, eventType });
    } catch (error) {
      if (error.code !== '23505') throw error;
      logger.info('[IdempotencyGuard] Event already marked as processed', { eventId, correlationId, eventType });
    }
  }
}

module.exports = { IdempotencyGuard };
