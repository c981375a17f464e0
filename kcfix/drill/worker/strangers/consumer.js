'use strict';

// Somebody's debugging script that was left running: a member of the workers' own group that reads and does nothing.
const { Kafka } = require('kafkajs');

const consumer = new Kafka({
  clientId: 'debug-consumer', brokers: process.env.KAFKA_BROKERS.split(','),
}).consumer({ groupId: process.env.GROUP });

async function main() {
  await consumer.connect();
  await consumer.subscribe({ topic: process.env.TOPIC, fromBeginning: false });
  await consumer.run({
    eachMessage: async ({ partition, message }) => console.log(partition, message.offset, String(message.key)),
  });
}

process.on('SIGTERM', () => consumer.disconnect().then(() => process.exit(0)));
main();
