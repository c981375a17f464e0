'use strict';

/**
 * The key of `pg_advisory_xact_lock` for one student and course: the absolute value of the 32-bit `31*h + charCode`
 * over `studentId:courseId`, the ids as they stand in the event. kcfix takes the same lock to keep the worker out.
 */
function purchaseLockKey(studentId, courseId) {
  const subject = `${studentId}:${courseId}`;
  let hash = 0;
  for (let index = 0; index < subject.length; index += 1) {
    hash = (31 * hash + subject.charCodeAt(index)) | 0;
  }
  return Math.abs(hash);
}

module.exports = { purchaseLockKey };
