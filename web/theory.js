// theory.js: what the arithmetic of polling expects, beside what was measured. It needs events
// at random moments (a Poisson process) and one unchanged interval, so its samples begin anew
// whenever the interval, the rate or the connection changes. It draws nothing.

import { HOLD_SECONDS } from "./lane/longpoll.js";

/** Before so many looks and so many delays the comparison would be noise. */
export const SAMPLES_NEEDED = 12;

/** Samples taken under one unchanged setting. */
export class Theory {
  /** @param {number} seconds the polling interval */
  constructor(seconds) {
    this.restart(seconds);
  }

  /**
   * Throws the samples away and begins again.
   * @param {number} [seconds] the polling interval, if it has changed
   */
  restart(seconds = this.seconds) {
    this.seconds = seconds;
    this.since = performance.now();
    this.looks = 0;
    this.questions = 0;
    this.empties = 0;
    this.events = 0;
    this.delays = 0;
    this.delaySum = 0;
  }

  /**
   * Counts an answer of the polling lane.
   * @param {boolean} empty
   * @param {number} askedAt
   */
  look(empty, askedAt) {
    if (askedAt - this.since < this.seconds * 1000) return;
    this.looks += 1;
    if (empty) this.empties += 1;
  }

  /**
   * Counts a question of the long poll lane.
   * @param {number} askedAt
   */
  question(askedAt) {
    if (askedAt >= this.since) this.questions += 1;
  }

  /** Counts an event on the topic, whoever sent it. */
  event() {
    this.events += 1;
  }

  /**
   * Counts a delay of the polling lane.
   * @param {number} milliseconds
   * @param {number} sentAt
   */
  delay(milliseconds, sentAt) {
    if (sentAt < this.since) return;
    this.delays += 1;
    this.delaySum += milliseconds;
  }

  /**
   * Both sides of the comparison.
   * @returns {{delay: object, empty: object, questions: object, rate: number}}
   */
  compare() {
    const elapsed = (performance.now() - this.since) / 1000;
    const rate = elapsed > 0 ? this.events / elapsed : 0;
    const share = Math.exp(-rate * this.seconds);
    const period = this.seconds * 1000;
    return {
      rate,
      delay: {
        expected: period / 2,
        spread: period / Math.sqrt(12 * Math.max(1, this.delays)),
        measured: this.delays > 0 ? this.delaySum / this.delays : null,
        samples: this.delays,
      },
      questions: questionsOf(rate, elapsed, this.questions),
      empty: {
        expected: share,
        spread: Math.sqrt((share * (1 - share)) / Math.max(1, this.looks)),
        measured: this.looks > 0 ? this.empties / this.looks : null,
        samples: this.looks,
      },
    };
  }
}

/**
 * How often a long poll asks: after each event, or after a hold in which there was none. Holds
 * end at random, so the number asked in a time scatters by about its square root.
 */
function questionsOf(rate, elapsed, asked) {
  const perSecond = rate > 0 ? rate / -Math.expm1(-rate * HOLD_SECONDS) : 1 / HOLD_SECONDS;
  return {
    expected: perSecond * 60,
    spread: (Math.sqrt(perSecond * elapsed) / Math.max(elapsed, 1)) * 60,
    measured: (asked / Math.max(elapsed, 1)) * 60,
    samples: asked,
  };
}
