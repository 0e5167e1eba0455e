// network.js: a slower network than the real one, simulated in the page: what the lanes receive is
// held back, and for a while nothing may pass at all. As over TCP nothing is missing in the end: a
// packet that is lost is sent again, after a wait that doubles each time, and what comes behind it
// over the same connection waits for it.

import { say } from "./words/say.js";

/**
 * The networks to choose from: milliseconds that a packet takes one way, and the share of them
 * that is lost.
 * @type {readonly {name: string, delay: number, loss: number}[]}
 */
export const NETWORKS = Object.freeze([
  { name: "none", delay: 0, loss: 0 },
  { name: "wifi", delay: 15, loss: 0.01 },
  { name: "phone", delay: 60, loss: 0.03 },
  { name: "train", delay: 200, loss: 0.1 },
  { name: "tunnel", delay: 600, loss: 0.3 },
]);

/** How far a packet's time scatters around the delay, as a share of it. */
const JITTER = 0.25;

/** The shortest wait before a lost packet is sent again, as Linux has it, and how often at most. */
const RESEND_MS = 200;
const RESENT_AT_MOST = 5;

/** The network between server and page. */
export class Network {
  #chosen = NETWORKS[0];
  #cutUntil = 0;

  /** @param {string} name one of NETWORKS */
  choose(name) {
    this.#chosen = NETWORKS.find((one) => one.name === name) ?? NETWORKS[0];
  }

  /**
   * Lets nothing pass for so long, and no connection come about.
   * @param {number} milliseconds
   */
  cut(milliseconds) {
    this.#cutUntil = performance.now() + milliseconds;
  }

  /**
   * Resolves when a packet that leaves now has arrived.
   * @returns {Promise<void>}
   * @throws {Error} while nothing passes
   */
  async pass() {
    this.#check();
    const wait = this.#trip();
    if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
  }

  /**
   * A connection, on which nothing overtakes: what it is given happens as it arrives.
   * @returns {(arrive: () => void) => void}
   * @throws {Error} while nothing passes
   */
  connection() {
    this.#check();
    let free = 0;
    return (arrive) => {
      const now = performance.now();
      free = Math.max(free, now + this.#trip());
      if (free <= now) arrive();
      else setTimeout(arrive, free - now);
    };
  }

  #check() {
    if (performance.now() < this.#cutUntil) throw new Error(say("why.cut"));
  }

  #trip() {
    const { delay, loss } = this.#chosen;
    let time = delay * (1 + JITTER * (2 * Math.random() - 1));
    let wait = RESEND_MS + 2 * delay;
    for (let resent = 0; resent < RESENT_AT_MOST && Math.random() < loss; resent++) {
      time += wait;
      wait *= 2;
    }
    return time;
  }
}
