// sse.js: the lane of server-sent events, by the browser's own EventSource, which comes back by
// itself with the id of the last event. Where the browser gives up, the lane begins a new
// one after that id. It never asks for messages.

import { Backoff } from "./backoff.js";
import { exchangeOverhead, frameOverhead, sseBytes, sseConnectBytes } from "./bytes.js";
import { parseJson } from "./net.js";

/** An attempt that has not connected by then is given up. */
const CONNECT_LIMIT_MS = 10_000;

/** After so many keepalives that did not come the line is called dead. */
const KEEPALIVES_MISSED = 1.5;
const SILENCE_SLACK_MS = 10_000;

/** The lane of one topic. */
export class SseLane {
  #topic;
  #hooks;
  #keepalive;
  #source = null;
  #since = "none";
  #backoff = new Backoff();
  #timer = null;
  #guard = null;
  #running = false;

  /**
   * @param {string} topic
   * @param {() => number} keepalive seconds between two signs of life of the server
   * @param {import("./reports.js").Hooks} hooks
   */
  constructor(topic, keepalive, hooks) {
    this.#topic = topic;
    this.#keepalive = keepalive;
    this.#hooks = hooks;
  }

  /** Connects, and stays connected until stopped. */
  start() {
    if (this.#running) return;
    this.#running = true;
    this.#connect();
  }

  /** Closes the connection. The last id stays for the next start. */
  stop() {
    this.#running = false;
    clearTimeout(this.#timer);
    this.#letGo();
  }

  /** Tries at once, instead of waiting for the next attempt. */
  retryNow() {
    if (!this.#running || this.#source?.readyState === EventSource.OPEN) return;
    clearTimeout(this.#timer);
    this.#letGo();
    this.#connect();
  }

  /** Cuts the line on purpose, to show how the lane comes back. */
  cut() {
    if (!this.#source) return;
    this.#letGo();
    this.#later("you cut the line");
  }

  #connect() {
    const since = encodeURIComponent(this.#since);
    const path = this.#hooks.tag(`/${encodeURIComponent(this.#topic)}/sse?since=${since}`);
    this.#hooks.onState({ kind: "connecting" });
    const source = new EventSource(path);
    this.#source = source;
    this.#giveUpAfter(CONNECT_LIMIT_MS, "no answer");
    // The server's first event has the name of the browser's own: the browser's has no data.
    source.addEventListener("open", (event) => {
      if (event.data === undefined) this.#opened(path);
      else this.#event(event, "open");
    });
    source.addEventListener("message", (event) => this.#event(event, "message"));
    source.addEventListener("keepalive", (event) => this.#event(event, "keepalive"));
    source.addEventListener("error", () => this.#failed(source));
  }

  #opened(path) {
    this.#backoff.opened();
    this.#listen();
    const { asked, answered } = sseConnectBytes(path);
    this.#hooks.onConnect(asked + answered, exchangeOverhead(asked, answered, true));
    this.#hooks.onState({ kind: "up" });
  }

  #event({ data, lastEventId }, name) {
    const at = performance.now();
    const event = parseJson(data);
    const placed = typeof event?.id === "string";
    const isMessage = placed && event.event === "message";
    const counted = isMessage && this.#hooks.onMessage(event, at);
    const bytes = sseBytes(data, lastEventId, name);
    this.#hooks.onFrame(bytes, frameOverhead(bytes), counted);
    if (event?.gap) this.#hooks.onGap(event.gap);
    if (placed) {
      this.#since = event.id;
      this.#hooks.onPlace(event.id);
    }
    this.#listen();
  }

  /** The browser tries again by itself, unless the answer was no stream of events. */
  #failed(source) {
    if (this.#source !== source) return;
    const why = navigator.onLine === false ? "this device is offline" : "no answer";
    if (source.readyState === EventSource.CLOSED) {
      this.#letGo();
      this.#later(why);
      return;
    }
    const said = this.#backoff.wasOpen ? "the connection broke" : why;
    clearTimeout(this.#guard);
    this.#hooks.onState({ kind: "down", why: `${said}; the browser is trying again` });
  }

  #later(why) {
    if (!this.#running) return;
    const wait = this.#backoff.next();
    this.#timer = setTimeout(() => this.#connect(), wait);
    this.#hooks.onState({ kind: "waiting", why, retryAt: performance.now() + wait });
  }

  /** Waits for the next event; a line without signs of life is given up. */
  #listen() {
    const patience = this.#keepalive() * 1000 * KEEPALIVES_MISSED + SILENCE_SLACK_MS;
    this.#giveUpAfter(patience, "the line went silent");
  }

  #giveUpAfter(milliseconds, why) {
    clearTimeout(this.#guard);
    this.#guard = setTimeout(() => {
      this.#letGo();
      this.#later(why);
    }, milliseconds);
  }

  #letGo() {
    clearTimeout(this.#guard);
    this.#source?.close();
    this.#source = null;
    this.#hooks.onRelease(performance.now());
  }
}
