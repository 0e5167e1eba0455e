// demo.js: the demo stream, which publishes small events at random moments so that the picture
// moves. It is a Poisson process: the waits between events are exponential, as the arithmetic
// of the page assumes. It does not decide when it may run; main.js stops it in a hidden tab.

import { WORDS } from "./words/say.js";

/** Publishes at random moments with a given mean rate. */
export class DemoStream {
  #publish;
  #rate;
  #timer = null;
  #number = 0;

  /**
   * @param {number} rate events per second, on average
   * @param {(text: string) => void} publish
   */
  constructor(rate, publish) {
    this.#rate = rate;
    this.#publish = publish;
  }

  /** @returns {boolean} */
  get running() {
    return this.#timer !== null;
  }

  /** @param {number} rate events per second, on average */
  setRate(rate) {
    this.#rate = rate;
    if (this.running) this.#arm();
  }

  /** Begins, with a random wait. */
  start() {
    if (!this.running) this.#arm();
  }

  /** Ends at once. */
  stop() {
    clearTimeout(this.#timer);
    this.#timer = null;
  }

  #arm() {
    clearTimeout(this.#timer);
    const wait = (-Math.log(1 - Math.random()) / this.#rate) * 1000;
    this.#timer = setTimeout(() => {
      this.#arm();
      this.#publish(happening(this.#number++));
    }, wait);
  }
}

/**
 * What happens at this door.
 * @param {number} number
 * @returns {string}
 */
export function happening(number) {
  const { happenings } = WORDS.messages;
  return happenings[number % happenings.length];
}
