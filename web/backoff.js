// backoff.js: how long to wait before the next attempt to connect. It only reckons;
// reconnecting.js and the lanes keep the timer.

/** Waits between two attempts: doubled each time, and shortened at random so that many pages
 * that lost the same server do not come back in the same instant. */
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 30_000;
const DOUBLINGS = 10;

/** A connection that has lasted this long was a good one: the waits start small again. */
const GOOD_AFTER_MS = 5_000;

/** The waits of one connection. */
export class Backoff {
  #attempts = 0;
  #openedAt = 0;

  /** The connection is there. */
  opened() {
    this.#openedAt = performance.now();
  }

  /** @returns {boolean} whether the connection was there since the last wait */
  get wasOpen() {
    return this.#openedAt > 0;
  }

  /** @returns {number} milliseconds to wait before the next attempt */
  next() {
    const lasted = performance.now() - this.#openedAt;
    if (this.#openedAt > 0 && lasted > GOOD_AFTER_MS) this.#attempts = 0;
    this.#openedAt = 0;
    const longest = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** this.#attempts);
    this.#attempts = Math.min(this.#attempts + 1, DOUBLINGS);
    return longest * (0.5 + Math.random() / 2);
  }
}
