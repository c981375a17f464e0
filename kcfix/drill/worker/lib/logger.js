'use strict';

// Log lines as the live workers write them: one JSON object a line in production, keys in alphabetical order,
// a timestamp without a zone (docs/system.md 4.1).
const winston = require('winston');

const production = process.env.NODE_ENV === 'production';
const service = process.env.SERVICE_NAME || 'unknown-service';

const coloured = winston.format.printf(({ timestamp, level, message, service: name, ...meta }) => {
  const line = `[${timestamp}] [${name}] ${level}: ${message}`;
  return Object.keys(meta).length > 0 ? `${line}\nMeta: ${JSON.stringify(meta)}` : line;
});

const logger = winston.createLogger({
  level: process.env.LOG_LEVEL || (production ? 'info' : 'debug'),
  levels: winston.config.npm.levels,
  defaultMeta: { service, environment: process.env.NODE_ENV || 'development' },
  format: winston.format.combine(
    winston.format.errors({ stack: true }),
    winston.format.timestamp({ format: 'YYYY-MM-DD HH:mm:ss' }),
    production ? winston.format.json() : winston.format.combine(winston.format.colorize(), coloured),
  ),
  transports: [new winston.transports.Console({ handleExceptions: true, handleRejections: true })],
});

/**
 * Logs with the message repeated in the fields, as the live code does: winston then appends it to itself, which is
 * why every such line reads "X X" and must be matched by substring.
 */
function logWithContext(level, message, context = {}) {
  logger.log(level, message, { ...context, message, timestamp: new Date().toISOString() });
}

module.exports = { logger, logWithContext };
