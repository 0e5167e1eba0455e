// reconnecting.js: a connection that is kept: opened, given up when it is silent for too long, and
// opened again, after a wait, when it broke. What is said over it is known to the classes that
// extend this one.

import { Backoff } from "./backoff.js";
import { subprotocols } from "./token.js";
import { say } from "./words/say.js";

/** An attempt that has not connected by then is given up. */
const CONNECT_LIMIT_MS = 10_000;

/**
 * A connection that comes back by itself. A class that extends it has `open()`, which begins an
 * attempt or throws why there can be none, `close()`, which lets go of what is there, if anything
 * is, and `waits(why, milliseconds)`, which hears that there will be another attempt.
 */
export class Reconnecting {
  #backoff = new Backoff();
  #running = false;
  /** The next attempt; null unless one is waited for. */
  #timer = null;
  #guard = null;

  /** Connects, and stays connected until stopped. */
  start() {
    if (this.#running) return;
    this.#running = true;
    this.#try();
  }

  /** Closes the connection, and does not come back. */
  stop() {
    this.#running = false;
    this.#release();
  }

  /** Tries at once, instead of waiting for the next attempt. */
  retryNow() {
    if (this.#timer !== null || (this.#running && this.isStuck)) this.#try();
  }

  /** Cuts the connection on purpose, to show how it comes back. */
  cut() {
    if (this.#running && this.#timer === null) this.lost(say("why.cut"));
  }

  /** @returns {boolean} whether the attempt under way may be dropped for another */
  get isStuck() {
    return false;
  }

  /** @returns {boolean} whether the connection was there since the last wait */
  get wasOpen() {
    return this.#backoff.wasOpen;
  }

  /** The connection is there. */
  opened() {
    this.#backoff.opened();
  }

  /**
   * The connection broke, or did not come about.
   * @param {string} why
   */
  lost(why) {
    this.#release();
    const wait = this.#backoff.next();
    this.#timer = setTimeout(() => this.#try(), wait);
    this.waits(why, wait);
  }

  /**
   * Takes the connection for lost unless this is called again in time.
   * @param {number} milliseconds
   * @param {string} why
   */
  giveUpAfter(milliseconds, why) {
    this.guard(milliseconds, () => this.lost(why));
  }

  /**
   * Does something when nothing came in time. There is one such guard: the next replaces it.
   * @param {number} milliseconds
   * @param {() => void} act
   */
  guard(milliseconds, act) {
    this.unguard();
    this.#guard = setTimeout(act, milliseconds);
  }

  /** Waits for nothing. */
  unguard() {
    clearTimeout(this.#guard);
  }

  #try() {
    this.#release();
    this.giveUpAfter(CONNECT_LIMIT_MS, say("why.noanswer"));
    try {
      this.open();
    } catch (error) {
      this.lost(error.message);
    }
  }

  #release() {
    clearTimeout(this.#timer);
    this.#timer = null;
    this.unguard();
    this.close();
  }
}

/**
 * Opens a WebSocket to the server of this page.
 * @param {string} path
 * @param {{onopen: () => void, onmessage: (frame: MessageEvent) => void,
 *   onclose: (event: CloseEvent) => void}} handlers hear nothing more once it is closed here
 * @returns {{send: (text: string) => void, close: () => void}}
 */
export function openSocket(path, handlers) {
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  const socket = new WebSocket(`${scheme}//${location.host}${path}`, subprotocols());
  Object.assign(socket, handlers);
  return {
    send: (text) => socket.send(text),
    close() {
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close();
    },
  };
}
