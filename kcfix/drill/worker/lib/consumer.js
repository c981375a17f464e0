'use strict';

const { Kafka } = require('kafkajs');
const { logger } = require('./logger');
const settings = require('./settings');

const text = (header) => (header === undefined ? 'unknown' : header.toString());

/**
 * One group member. Commits are left to kafkajs and reading starts at the log end where no offset is committed, so a
 * message that was waiting on such a partition is never seen (docs/system.md 6, mode 1).
 */
class EventConsumer {
  constructor({ groupId, topics, handle }) {
    this.groupId = settings.namespace + groupId;
    this.topics = topics.map((topic) => settings.namespace + topic);
    this.handle = handle;
    this.consumer = new Kafka({
      clientId: `${settings.serviceName}-${Date.now()}`,
      brokers: settings.brokers,
      sasl: settings.sasl,
    }).consumer({
      groupId: this.groupId,
      sessionTimeout: 30000,
      heartbeatInterval: 3000,
      maxBytesPerPartition: 1048576,
      minBytes: 1,
      maxBytes: 10485760,
    });
  }

  async start() {
    await this.consumer.connect();
    for (const topic of this.topics) {
      await this.consumer.subscribe({ topic, fromBeginning: false });
    }
    logger.info('[KafkaConsumer] Connected and subscribed', { groupId: this.groupId, topics: this.topics });
    await this.consumer.run({ eachMessage: (payload) => this.eachMessage(payload) });
    logger.info('[KafkaConsumer] Started consuming', { groupId: this.groupId, topics: this.topics });
  }

  async eachMessage({ topic, partition, message }) {
    const context = {
      topic,
      partition,
      offset: message.offset,
      eventId: text(message.headers?.eventId),
      correlationId: text(message.headers?.correlationId),
      eventType: text(message.headers?.eventType),
    };
    if (message.value === null) {
      logger.warn('[KafkaConsumer] Message has no value, skipping', context);
      return;
    }
    logger.info('[KafkaConsumer] Processing message', context);
    try {
      // An empty or malformed value throws a SyntaxError here, outside the handler: no dead letter, and kafkajs does
      // not restart after it (docs/system.md 6, mode 4).
      const event = JSON.parse(message.value.toString());
      await this.handle(event, { topic, partition, offset: message.offset });
    } catch (error) {
      logger.error('[KafkaConsumer] Message processing failed', { ...context, error: error.message });
      throw error;
    }
    logger.info('[KafkaConsumer] Message processed successfully', context);
  }

  async stop() {
    await this.consumer.disconnect();
  }
}

module.exports = { EventConsumer };
