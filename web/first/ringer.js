// first/ringer.js: rings without being asked, so that the picture is never empty: once when the
// lanes are up, then at a steady pace for half a minute, then at random as the demo stream does. It
// stops while the tab is hidden, and when it is switched off.

import { find } from "../elements.js";
import { putIntoAddress } from "../settings.js";

/** The steady pace, slower than polling asks at first, so that some of its requests are for
 * nothing; and how long it is kept. */
const PACE_MS = 5000;
const STEADY_MS = 30_000;

/** The bell that rings by itself. */
export class Ringer {
  #ring;
  #demo;
  #button = find("demo-switch");
  #isReady = false;
  #timer = null;
  #steadyUntil = null;

  /**
   * @param {() => void} ring
   * @param {import("../demo.js").DemoStream} demo
   * @param {boolean} isOn
   */
  constructor(ring, demo, isOn) {
    this.#ring = ring;
    this.#demo = demo;
    this.#button.checked = isOn;
    this.#button.addEventListener("change", () => {
      putIntoAddress("demo", this.#button.checked ? "on" : "off");
      this.decide();
    });
  }

  /** The lanes are up. */
  lanesReady() {
    if (this.#isReady) return;
    this.#isReady = true;
    this.decide();
  }

  /** Rings or rests, as switch and tab say. */
  decide() {
    const runs = this.#isReady && this.#button.checked && !document.hidden;
    clearInterval(this.#timer);
    this.#timer = null;
    this.#demo.stop();
    if (!runs) return;
    this.#steadyUntil ??= performance.now() + STEADY_MS;
    this.#step();
    this.#timer = setInterval(() => this.#step(), PACE_MS);
  }

  #step() {
    if (performance.now() < this.#steadyUntil) {
      this.#ring();
      return;
    }
    clearInterval(this.#timer);
    this.#demo.start();
  }
}
