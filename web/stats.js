// stats.js: what one lane has cost and what it has brought, as numbers only. It draws nothing
// and does not decide what counts: the journal and the lanes tell it.

/** Delays kept for the median. The worst one is kept apart and is never forgotten. */
const DELAYS_KEPT = 1000;

/** The counters of one lane, polling or push, since the last restart. */
export class LaneStats {
  constructor() {
    this.restart();
  }

  /**
   * Starts all counters again from zero.
   * @param {{requests?: number, bytes?: number, wire?: number}} [carried] costs of a connection
   *   that stays open, so that no lane gets its connection for nothing
   */
  restart(carried = {}) {
    this.startedAt = performance.now();
    this.requests = carried.requests ?? 0;
    this.bytes = carried.bytes ?? 0;
    this.wire = carried.wire ?? 0;
    this.answers = 0;
    this.empty = 0;
    this.unchanged = 0;
    this.failed = 0;
    this.withNews = 0;
    this.messages = 0;
    this.missed = 0;
    this.repeated = 0;
    this.delayCount = 0;
    this.delaySum = 0;
    this.worst = null;
    this.delays = [];
  }

  /**
   * Counts one delay.
   * @param {number} milliseconds
   */
  addDelay(milliseconds) {
    this.delayCount += 1;
    this.delaySum += milliseconds;
    this.worst = Math.max(this.worst ?? 0, milliseconds);
    this.delays.push(milliseconds);
    if (this.delays.length > DELAYS_KEPT) this.delays.shift();
  }

  /** @returns {number|null} the middle of the delays kept, in milliseconds */
  get median() {
    if (this.delays.length === 0) return null;
    const sorted = [...this.delays].sort((one, other) => one - other);
    const middle = sorted.length >> 1;
    return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  }

  /** @returns {number|null} the share of answers that brought nothing */
  get emptyShare() {
    return this.answers === 0 ? null : this.empty / this.answers;
  }

  /** @returns {number|null} how many messages came in one answer, or frame, that had any */
  get perAnswer() {
    return this.withNews === 0 ? null : this.messages / this.withNews;
  }

  /** @returns {number|null} application bytes of the lane, divided by its messages */
  get bytesPerMessage() {
    return this.messages === 0 ? null : this.bytes / this.messages;
  }

  /** @returns {number|null} the same with packet headers */
  get wirePerMessage() {
    return this.messages === 0 ? null : this.wire / this.messages;
  }

  /**
   * Counts bytes.
   * @param {number} bytes of the application
   * @param {number} overhead of the packets that carried them
   */
  addBytes(bytes, overhead) {
    this.bytes += bytes;
    this.wire += bytes + overhead;
  }
}
