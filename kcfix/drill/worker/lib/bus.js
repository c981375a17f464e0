'use strict';

const { Kafka } = require('kafkajs');
const { logger } = require('./logger');
const { sleep } = require('./retry');
const settings = require('./settings');

const TOPIC_OF_TYPE = {
  PURCHASE_CONFIRMED: 'purchase-confirmed',
  PURCHASE_CREATED: 'purchase-created',
  TRAINER_ALLOCATED: 'trainer-allocated',
  SESSIONS_GENERATED: 'sessions-generated',
  COURSE_ACCESS_GRANTED: 'course-access-granted',
  NOTIFICATION_REQUESTED: 'notification-requested',
};

const METADATA_ERRORS = [
  'This server does not host this topic-partition', 'LEADER_NOT_AVAILABLE', 'NOT_LEADER_FOR_PARTITION',
];

const PRODUCER = {
  idempotent: true,
  maxInFlightRequests: 1,
  retry: { retries: 8, initialRetryTime: 100, multiplier: 2, maxRetryTime: 30000 },
};

/** Sends business events: key = correlation id, five text headers, `_metadata` inside the value. */
class EventBus {
  constructor() {
    const clientId = process.env.KAFKA_CLIENT_ID || `kodingcaravan-${settings.serviceName}`;
    this.producer = new Kafka({ clientId, brokers: settings.brokers, sasl: settings.sasl, retry: PRODUCER.retry }).producer(PRODUCER);
    this.connected = false;
  }

  async connect() {
    await this.producer.connect();
    this.connected = true;
    logger.info('[KafkaEventBus] Connected to Kafka');
  }

  async emit(event, { eventId, correlationId, source = settings.serviceName }) {
    const version = '1.0.0';
    const topic = settings.namespace + (TOPIC_OF_TYPE[event.type] || 'default-events');
    const _metadata = { eventId, correlationId, source, version, timestamp: Date.now() };
    const message = {
      key: correlationId,
      value: JSON.stringify({ ...event, _metadata }),
      headers: { eventId, correlationId, eventType: event.type, source, version },
    };
    for (let attempt = 1; ; attempt += 1) {
      try {
        if (!this.connected) await this.connect();
        await this.producer.send({ topic, messages: [message] });
        logger.info('[KafkaEventBus] Event emitted', { topic, eventId, correlationId, eventType: event.type });
        return;
      } catch (error) {
        const stale = METADATA_ERRORS.some((text) => String(error.message).includes(text) || error.type === text);
        if (!stale || attempt === 3) {
          logger.error('[KafkaEventBus] Failed to emit event', { topic, eventId, correlationId, error: error.message });
          throw error;
        }
        logger.warn('[KafkaEventBus] Metadata error detected, refreshing metadata and retrying', { topic, attempt });
        await this.producer.disconnect();
        this.connected = false;
        await sleep(500 * attempt);
      }
    }
  }

  async disconnect() {
    await this.producer.disconnect();
  }
}

/** Publishes a copy of a message that could not be handled. The caller rethrows afterwards. */
class DeadLetterPublisher {
  constructor() {
    const clientId = `dlq-publisher-${Date.now()}`;
    this.producer = new Kafka({ clientId, brokers: settings.brokers, sasl: settings.sasl }).producer(PRODUCER);
    this.connected = false;
  }

  async publish(event, { topic, partition, offset }, error, attempts) {
    if (!this.connected) {
      await this.producer.connect();
      this.connected = true;
    }
    const correlationId = event._metadata?.correlationId || 'unknown';
    const eventId = event._metadata?.eventId || 'unknown';
    const failureReason = error.message;
    await this.producer.send({
      topic: `${settings.namespace}dead-letter-queue`,
      messages: [{
        key: correlationId,
        value: JSON.stringify({
          originalEvent: event, originalTopic: topic, originalPartition: partition, originalOffset: offset,
          failureReason, failureTimestamp: Date.now(), attempts, correlationId, eventId,
        }),
        headers: {
          originalTopic: topic, originalPartition: String(partition), originalOffset: offset,
          failureReason, correlationId, eventId,
        },
      }],
    });
    logger.error('[DeadLetterPublisher] Message sent to DLQ', {
      originalTopic: topic, originalPartition: partition, originalOffset: offset, failureReason, attempts,
      correlationId, eventId,
    });
  }

  async disconnect() {
    await this.producer.disconnect();
  }
}

module.exports = { EventBus, DeadLetterPublisher };
