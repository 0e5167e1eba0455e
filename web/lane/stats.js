// lane/stats.js: what one lane has cost and what it has brought, as numbers only. It draws nothing
// and does not decide what counts: the journal and the lanes tell it.

/** Delays kept for median and distribution. The worst one is kept apart and never forgotten. */
const DELAYS_KEPT = 1000;

/** With fewer delays than this, the 99th of a hundred would only be the worst. */
export const DELAYS_FOR_P99 = 100;

/** The counters of one lane since the last restart. */
export class LaneStats {
  #sorted = null;

  constructor() {
    this.restart();
  }

  /** Starts all counters again from zero. */
  restart() {
    this.startedAt = performance.now();
    this.requests = 0;
    this.bytes = 0;
    this.wire = 0;
    this.answers = 0;
    this.empty = 0;
    this.unchanged = 0;
    this.failed = 0;
    this.withNews = 0;
    this.messages = 0;
    this.missed = 0;
    this.repeated = 0;
    this.disordered = 0;
    this.worst = null;
    this.delays = [];
    this.#sorted = null;
  }

  /**
   * Counts one delay.
   * @param {number} milliseconds
   */
  addDelay(milliseconds) {
    this.worst = Math.max(this.worst ?? 0, milliseconds);
    this.delays.push(milliseconds);
    if (this.delays.length > DELAYS_KEPT) this.delays.shift();
    this.#sorted = null;
  }

  /** @returns {readonly number[]} the delays kept, in milliseconds, rising */
  get sorted() {
    this.#sorted ??= [...this.delays].sort((one, other) => one - other);
    return this.#sorted;
  }

  /** @returns {number|null} the middle of the delays kept, in milliseconds */
  get median() {
    const { sorted } = this;
    if (sorted.length === 0) return null;
    const middle = sorted.length >> 1;
    return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  }

  /** @returns {number|null} the delay that 99 of 100 messages kept within */
  get p99() {
    const { sorted } = this;
    if (sorted.length < DELAYS_FOR_P99) return null;
    return sorted[Math.ceil(sorted.length * 0.99) - 1];
  }

  /** @returns {number|null} the share of answers that brought nothing */
  get emptyShare() {
    return this.answers === 0 ? null : this.empty / this.answers;
  }

  /** @returns {number|null} how many messages came in one answer, or frame, that had any */
  get perAnswer() {
    return this.withNews === 0 ? null : this.messages / this.withNews;
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
