'use strict';

const { logger } = require('./logger');
const { retryDelayScale } = require('./settings');

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Runs `work` up to `delaysMs.length + 1` times, waiting between tries; throws the last error. */
async function withRetry(work, { delaysMs, operation, ...context }) {
  const maxAttempts = delaysMs.length + 1;
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await work();
    } catch (error) {
      if (attempt === maxAttempts) {
        logger.error('[RetryPolicy] Operation failed after all retries', {
          ...context, operation, attempts: maxAttempts, error: error.message,
        });
        throw error;
      }
      const delayMs = delaysMs[attempt - 1] * retryDelayScale;
      logger.warn('[RetryPolicy] Operation failed, retrying', {
        ...context, operation, attempt, maxAttempts, delayMs, error: error.message,
      });
      await sleep(delayMs);
    }
  }
}

module.exports = { withRetry, sleep };
