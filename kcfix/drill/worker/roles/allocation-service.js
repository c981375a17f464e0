'use strict';

// The admin-service's AllocationService, which the live allocation-worker calls in its own process.
const { logger } = require('../lib/logger');

const SYSTEM_ADMIN = '00000000-0000-0000-0000-000000000001';
const CAPACITY_PER_SLOT = 5;
const DEFAULT_SLOT = '4:00 PM';
const DAY_MS = 24 * 60 * 60 * 1000;

const isoDay = (date) => date.toISOString().slice(0, 10);

/** First day of the sessions: what the payment asked for, else tomorrow (UTC, as the containers run). */
function startDateOf(metadata) {
  const wished = metadata.startDate || metadata.schedule?.startDate || metadata.preferredDate || metadata.date;
  const day = wished ? new Date(wished) : new Date(Date.now() + DAY_MS);
  return Number.isNaN(day.getTime()) ? isoDay(new Date(Date.now() + DAY_MS)) : isoDay(day);
}

class AllocationService {
  constructor({ pool, bus }) {
    this.pool = pool;
    this.bus = bus;
  }

  /**
   * Gives the allocation that was made. Without a free trainer it is a `pending` row with no trainer; nothing looks
   * for an earlier such row, so each call adds one (docs/system.md 6, mode 39).
   */
  async autoAssign({ studentId, courseId, purchaseTier, paymentMetadata }) {
    const wanted = typeof paymentMetadata === 'object' && paymentMetadata !== null ? paymentMetadata : {};
    const timeSlot = wanted.timeSlot || wanted.preferredTimeSlot || wanted.schedule?.timeSlot || DEFAULT_SLOT;
    const startDate = startDateOf(wanted);
    const sessionCount = Number(purchaseTier) || 30;
    const metadata = {
      schedule: { timeSlot, date: startDate, startDate, mode: wanted.scheduleMode ?? null },
      sessionCount, timeSlot, startDate, date: startDate, groupSize: wanted.groupSize ?? 1,
      learningMode: wanted.learningMode ?? 'home',
    };
    try {
      const trainerId = await this.freeTrainer(timeSlot);
      if (!trainerId) {
        logger.warn('Auto Assignment: no trainer available', { studentId, courseId, timeSlot });
        return await this.pending(studentId, courseId, {
          ...metadata, autoAssignmentAttempted: true, reason: 'no_available_trainers',
        });
      }
      const allocation = await this.approve(studentId, courseId, trainerId, {
        ...metadata, autoAssigned: true, assignedAt: new Date().toISOString(),
      });
      logger.info('Auto Assignment: trainer assigned', { allocationId: allocation.id, trainerId, timeSlot });
      await this.createInitialSessions(allocation, sessionCount, startDate, timeSlot);
      await this.announce(allocation, sessionCount, startDate);
      return allocation;
    } catch (error) {
      logger.error('Auto Assignment: failed', { studentId, courseId, error: error.message });
      return this.pending(studentId, courseId, { ...metadata, autoAssignmentAttempted: true, error: error.message });
    }
  }

  async freeTrainer(timeSlot) {
    const { rows } = await this.pool.query(
      `SELECT t.id FROM trainers t
       WHERE t.status = 'active' AND (
         SELECT count(*) FROM trainer_allocations a
         WHERE a.trainer_id = t.id AND a.status IN ('approved', 'active') AND a.metadata->>'timeSlot' = $1
       ) < $2
       ORDER BY t.id LIMIT 1`,
      [timeSlot, CAPACITY_PER_SLOT],
    );
    return rows[0]?.id;
  }

  async pending(studentId, courseId, metadata) {
    const { rows } = await this.pool.query(
      `INSERT INTO trainer_allocations (student_id, course_id, requested_by, status, notes, metadata)
       VALUES ($1, $2, $1, 'pending', $3, $4) RETURNING *`,
      [studentId, courseId, metadata.error ?? null, JSON.stringify(metadata)],
    );
    return rows[0];
  }

  async approve(studentId, courseId, trainerId, metadata) {
    const { rows } = await this.pool.query(
      `INSERT INTO trainer_allocations
         (student_id, course_id, trainer_id, requested_by, status, allocated_by, allocated_at, metadata)
       VALUES ($1, $2, $3, $1, 'approved', $4, NOW(), $5) RETURNING *`,
      [studentId, courseId, trainerId, SYSTEM_ADMIN, JSON.stringify(metadata)],
    );
    return rows[0];
  }

  /** Tier-many daily sessions at the chosen slot, only for a student whose place is known. Errors are only logged. */
  async createInitialSessions(allocation, sessionCount, startDate, timeSlot) {
    try {
      const { rows } = await this.pool.query(
        'SELECT latitude, longitude FROM student_profiles WHERE student_id = $1', [allocation.student_id],
      );
      if (rows[0]?.latitude == null || rows[0]?.longitude == null) {
        logger.error('STUDENT GPS ISSUE: no location in student_profiles', { studentId: allocation.student_id });
        throw new Error('Student GPS location is required to create sessions');
      }
      const made = await this.pool.query(
        `INSERT INTO tutoring_sessions
           (allocation_id, student_id, trainer_id, course_id, scheduled_date, scheduled_time, status, metadata)
         SELECT $1, $2, $3, $4, $5::date + (n - 1), $6, 'scheduled', jsonb_build_object(
           'autoCreated', true, 'createdFromAllocation', true, 'sessionNumber', n, 'totalSessions', $7::int)
         FROM generate_series(1, $7::int) AS n RETURNING id`,
        [allocation.id, allocation.student_id, allocation.trainer_id, allocation.course_id, startDate, timeSlot, sessionCount],
      );
      const sessionIds = made.rows.map((row) => row.id);
      await this.bus.emit({
        type: 'SESSIONS_GENERATED', timestamp: Date.now(), userId: SYSTEM_ADMIN, role: 'admin',
        allocationId: allocation.id, trainerId: allocation.trainer_id, studentId: allocation.student_id,
        courseId: allocation.course_id, sessionCount: sessionIds.length, sessionIds, startDate,
      }, {
        eventId: `sessions-generated-${allocation.id}-${Date.now()}`, correlationId: allocation.id, source: 'admin-service',
      });
    } catch (error) {
      logger.error('Failed to create initial sessions for allocation', { allocationId: allocation.id, error: error.message });
    }
  }

  async announce(allocation, sessionCount, startDate) {
    await this.bus.emit({
      type: 'TRAINER_ALLOCATED', timestamp: Date.now(), userId: SYSTEM_ADMIN, role: 'admin',
      metadata: { allocatedBy: SYSTEM_ADMIN, notes: allocation.notes },
      allocationId: allocation.id, trainerId: allocation.trainer_id, studentId: allocation.student_id,
      courseId: allocation.course_id, sessionCount, startDate,
      endDate: isoDay(new Date(Date.now() + 30 * DAY_MS)),
    }, { eventId: allocation.id, correlationId: allocation.id, source: 'admin-service' });
  }
}

module.exports = { AllocationService };
