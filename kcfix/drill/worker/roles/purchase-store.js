'use strict';

// How a purchase gets into the database: three ways in, all idempotent by (student, course) among active purchases.
const { logger, logWithContext } = require('../lib/logger');
const { purchaseLockKey } = require('../lib/lock');

const INDEX_CHECK_MS = 5 * 60 * 1000;
const INDEX_WARNING_MS = 60 * 1000;
const ACTIVE = `SELECT id, metadata, purchase_tier FROM student_course_purchases
                WHERE student_id = $1 AND course_id = $2 AND is_active = true
                ORDER BY created_at DESC LIMIT 1`;
const COLUMNS = '(student_id, course_id, purchase_tier, expiry_date, metadata, is_active, created_at, updated_at)';
const VALUES = 'VALUES ($1, $2, $3, $4, $5, true, NOW(), NOW())';

class PurchaseStore {
  constructor(pool) {
    this.pool = pool;
    this.index = { present: false, checkedAt: 0, warnedAt: 0 };
  }

  /** The active purchase of a student and course, or undefined. Inactive ones are not looked at. */
  async activePurchase(client, { studentId, courseId }) {
    const { rows } = await client.query(ACTIVE, [studentId, courseId]);
    return rows[0];
  }

  async hasAllocation({ studentId, courseId }) {
    const { rowCount } = await this.pool.query(
      `SELECT 1 FROM trainer_allocations
       WHERE student_id = $1 AND course_id = $2 AND status IN ('approved', 'active') LIMIT 1`,
      [studentId, courseId],
    );
    return rowCount > 0;
  }

  /** Asks the catalogue at most once in five minutes; an unreachable database looks like a missing index. */
  async indexPresent() {
    if (Date.now() - this.index.checkedAt < INDEX_CHECK_MS) return this.index.present;
    this.index.checkedAt = Date.now();
    try {
      const { rowCount } = await this.pool.query(
        "SELECT 1 FROM pg_indexes WHERE tablename = 'student_course_purchases' AND indexname = 'unique_active_purchase'",
      );
      this.index.present = rowCount > 0;
    } catch {
      this.index.present = false;
    }
    if (this.index.present) {
      logger.info('[PurchaseWorker] unique_active_purchase index verified');
    } else if (Date.now() - this.index.warnedAt > INDEX_WARNING_MS) {
      this.index.warnedAt = Date.now();
      logger.warn('[PurchaseWorker] unique_active_purchase index not found, using fallback method', {
        hint: 'Run: node scripts/ensure-purchase-index.js',
      });
    }
    return this.index.present;
  }

  /**
   * Tries ON CONFLICT where the index is there. Its target names no predicate, so PostgreSQL never infers the partial
   * index and answers 42P10 each time (docs/system.md 6, mode 28); from then on the locked way is taken until the
   * next check.
   */
  async insert(client, row) {
    if (!(await this.indexPresent())) return this.lockedInsert(client, row);
    try {
      const { rows } = await client.query(
        `INSERT INTO student_course_purchases ${COLUMNS} ${VALUES}
         ON CONFLICT (student_id, course_id) DO NOTHING RETURNING id`,
        row.parameters,
      );
      return rows[0]?.id ?? (await this.activePurchase(client, row)).id;
    } catch (error) {
      if (error.code !== '42P10') throw error;
      this.index.present = false;
      const missing = new Error('ON CONFLICT constraint not found (42P10) - index missing');
      missing.code = '42P10';
      throw missing;
    }
  }

  /** Inserts under the advisory lock, or gives the id of the purchase that another session made meanwhile. */
  async lockedInsert(client, row) {
    try {
      await client.query('SELECT pg_advisory_xact_lock($1)', [purchaseLockKey(row.studentId, row.courseId)]);
      const existing = await this.activePurchase(client, row);
      if (existing) {
        logWithContext('info', 'Purchase already exists (fallback method, idempotent)', {
          workerName: 'purchase-worker', purchaseId: existing.id, studentId: row.studentId, courseId: row.courseId,
        });
        return existing.id;
      }
      const { rows } = await client.query(
        `INSERT INTO student_course_purchases ${COLUMNS} ${VALUES} RETURNING id`,
        row.parameters,
      );
      return rows[0].id;
    } catch (error) {
      // The code is lost on purpose: the live logs never show 23514 or 23503, only this text.
      throw new Error(`Fallback purchase creation failed: ${error.message}`);
    }
  }
}

/** What the row will hold; `event.metadata` as a text has no fields, so its tier becomes 30. */
function purchaseRow(event, paymentMetadata) {
  const { studentId, courseId } = event;
  const given = event.metadata || {};
  const tier = given.purchaseTier || given.sessionCount || 30;
  const own = typeof given === 'object' ? given : {};
  const base = paymentMetadata ?? {
    schedule: own.schedule ?? null, timeSlot: own.timeSlot ?? null, startDate: own.startDate ?? null,
  };
  const metadata = { ...base, ...own, purchaseTier: tier, sessionCount: tier, courseId };
  return {
    studentId,
    courseId,
    tier,
    metadata,
    parameters: [studentId, courseId, tier, metadata.expiryDate || null, JSON.stringify(metadata)],
  };
}

module.exports = { PurchaseStore, purchaseRow };
