'use strict';

// The logger comes first, so that whatever fails while the rest loads is written as an uncaught exception.
const { logger } = require('./lib/logger');
const settings = require('./lib/settings');
const { createPool } = require('./lib/database');
const { DeadLetterPublisher, EventBus } = require('./lib/bus');

const ROLE_FILES = {
  'purchase-worker': './roles/purchase',
  'allocation-worker': './roles/allocation',
  'session-worker': './roles/session',
  'cache-worker': './roles/cache',
};

async function main() {
  const file = ROLE_FILES[settings.serviceName];
  if (!file) throw new Error(`SERVICE_NAME must be one of ${settings.ROLES.join(', ')}`);
  const { Worker, label, name } = require(file);

  logger.info(`[${label}] 🚀 Starting ${name} worker...`, { serviceName: settings.serviceName });
  const pool = createPool();
  const bus = new EventBus();
  const deadLetters = new DeadLetterPublisher();
  const worker = new Worker({ pool, bus, deadLetters });

  let stopping = false;
  const stop = async (signal) => {
    if (stopping) return;
    stopping = true;
    logger.info(`[${label}] Received ${signal}, shutting down gracefully`);
    try {
      // The member finishes the message in hand before it leaves the group.
      await worker.consumer.stop();
      await Promise.allSettled([bus.disconnect(), deadLetters.disconnect(), pool.end()]);
      logger.info(`[${label}] Stopped`);
      process.exit(0);
    } catch (error) {
      logger.error(`[${label}] Error while stopping`, { error: error.message });
      process.exit(1);
    }
  };
  process.on('SIGTERM', () => stop('SIGTERM'));
  process.on('SIGINT', () => stop('SIGINT'));

  try {
    // A bus that can't connect is not fatal by itself: the consumer's own connection decides.
    await bus.connect().catch((error) => {
      logger.error('[KafkaEventBus] Failed to connect', { error: error.message });
    });
    await worker.start();
  } catch (error) {
    if (stopping) return;
    logger.error(`[${label}] Fatal error`, { error: error.message, stack: error.stack });
    process.exit(1);
  }
}

main();
