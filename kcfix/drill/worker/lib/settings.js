'use strict';

const ROLES = ['purchase-worker', 'allocation-worker', 'session-worker', 'cache-worker'];

// The live shared package opens its Redis client while it loads, so no worker starts without an address for it. The
// drill has no Redis; the check stays, because a worker that dies before its first line is a fault worth rehearsing.
if (!process.env.REDIS_URL) {
  throw new Error('REDIS_URL environment variable is required');
}

const serviceName = process.env.SERVICE_NAME || 'unknown';
const brokers = (process.env.KAFKA_BROKERS || process.env.KAFKA_BROKER || 'localhost:9092')
  .split(',')
  .map((broker) => broker.trim());
const databaseUrl = process.env.POSTGRES_URL || process.env.POSTGRES_URI || process.env.DATABASE_URL;

// The live code knows no SASL; on a managed broker it would have to, so the drill's does where a user is named.
const sasl = process.env.KAFKA_SASL_USERNAME
  ? { mechanism: 'plain', username: process.env.KAFKA_SASL_USERNAME, password: process.env.KAFKA_SASL_PASSWORD || '' }
  : undefined;
const statementTimeoutMs = Number(process.env.DB_STATEMENT_TIMEOUT || 30000);

// Waits between tries are multiplied by this. Only tests set it; the live waits are the default.
const retryDelayScale = Number(process.env.DRILL_RETRY_DELAY_SCALE || 1);

// Put before the names of topics and groups. Only tests set it, to run many workers side by side on one broker.
const namespace = process.env.DRILL_NAMESPACE || '';

module.exports = {
  ROLES, serviceName, brokers, sasl, databaseUrl, statementTimeoutMs, retryDelayScale, namespace,
};
