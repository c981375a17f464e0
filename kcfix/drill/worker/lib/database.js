'use strict';

const { Pool } = require('pg');
const { logger } = require('./logger');
const settings = require('./settings');

/** A pool with the live workers' limits. It connects on first use, so a worker starts without a database. */
function createPool() {
  const pool = new Pool({
    connectionString: settings.databaseUrl,
    max: 10,
    connectionTimeoutMillis: 30000,
    idleTimeoutMillis: 30000,
    statement_timeout: settings.statementTimeoutMs,
    options: '-c timezone=UTC',
    application_name: `koding-caravan-${process.env.NODE_ENV || 'development'}-${process.pid}`,
    ssl: process.env.POSTGRES_SSL === 'true' ? { rejectUnauthorized: false } : false,
  });
  // Without this a connection lost while idle would end the process.
  pool.on('error', (error) => logger.error('[Database] Unexpected error on idle client', { error: error.message }));
  return pool;
}

module.exports = { createPool };
