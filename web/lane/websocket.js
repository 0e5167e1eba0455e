// push.js: the WebSocket lane. It holds one WebSocket open and lets the server ring. When the
// connection breaks it comes back by itself and resumes after the last id it has seen. It never
// asks for messages.

import { Backoff } from "./backoff.js";
import { askingBytes, connectBytes, exchangeOverhead, frameBytes, frameOverhead } from "./bytes.js";
import { parseJson } from "./net.js";

/** An attempt that has not connected by then is given up. */
const CONNECT_LIMIT_MS = 10_000;

/** After so much silence the page asks whether the line is still alive, and waits so long for an
 * answer. The server's own keepalives are WebSocket pings, which a page cannot see. */
const SILENCE_MS = 45_000;
const PONG_LIMIT_MS = 10_000;

const PING = "PING";

/** What the server sends as close code when it is stopping. */
const GOING_AWAY = 1001;

/** The WebSocket lane of one topic. */
export class WebSocketLane {
  #topic;
  #hooks;
  #socket = null;
  #since = "none";
  #backoff = new Backoff();
  #timer = null;
  #guard = null;
  #running = false;
  #said = "";
  #firstWhy = "";

  /**
   * @param {string} topic
   * @param {import("./reports.js").Hooks} hooks
   */
  constructor(topic, hooks) {
    this.#topic = topic;
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
    if (!this.#running || this.#socket) return;
    clearTimeout(this.#timer);
    this.#connect();
  }

  /** Cuts the line on purpose, to show how the lane comes back. */
  cut() {
    if (!this.#socket) return;
    this.#letGo();
    this.#lost("you cut the line");
  }

  #connect() {
    this.#said = "";
    const since = encodeURIComponent(this.#since);
    const path = this.#hooks.tag(`/${encodeURIComponent(this.#topic)}/ws?since=${since}`);
    this.#hooks.onState({ kind: "connecting" });
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(`${scheme}//${location.host}${path}`);
    this.#socket = socket;
    this.#giveUpAfter(CONNECT_LIMIT_MS, "no answer");
    socket.onopen = () => {
      this.#backoff.opened();
      this.#listen();
      const { asked, answered } = connectBytes(path);
      this.#hooks.onConnect(asked + answered, exchangeOverhead(asked, answered, true));
      this.#hooks.onState({ kind: "up" });
    };
    socket.onmessage = (frame) => this.#frame(frame.data);
    socket.onclose = (event) => {
      if (this.#socket !== socket) return;
      this.#letGo();
      this.#lost(this.#whyClosed(event));
    };
  }

  #frame(text) {
    const at = performance.now();
    if (typeof text !== "string") return;
    const event = parseJson(text);
    const placed = typeof event?.id === "string";
    const isMessage = placed && event.event === "message";
    const counted = isMessage && this.#hooks.onMessage(event, at);
    const bytes = frameBytes(text);
    this.#hooks.onFrame(bytes, frameOverhead(bytes), counted);
    if (event === null) return;
    if (event.gap) this.#hooks.onGap(event.gap);
    if (event.event === "close") this.#said = words(event.reason ?? event.message);
    if (event.event === "error") this.#said = words(event.error ?? event.message);
    if (placed && ["open", "keepalive", "message"].includes(event.event)) {
      this.#since = event.id;
      this.#hooks.onPlace(event.id);
    }
    this.#listen();
  }

  /** Plans the next attempt and says so. */
  #lost(why) {
    if (!this.#running) return;
    if (this.#backoff.wasOpen) this.#firstWhy = why;
    else if (this.#firstWhy) why = `${this.#firstWhy}, no answer since`;
    const wait = this.#backoff.next();
    this.#timer = setTimeout(() => this.#connect(), wait);
    this.#hooks.onState({ kind: "waiting", why, retryAt: performance.now() + wait });
  }

  /** Waits for the next frame; a line that stays silent is asked once, then given up. */
  #listen() {
    clearTimeout(this.#guard);
    this.#guard = setTimeout(() => {
      const bytes = askingBytes(PING);
      this.#socket.send(PING);
      this.#hooks.onFrame(bytes, frameOverhead(bytes), false);
      this.#giveUpAfter(PONG_LIMIT_MS, "the line went silent");
    }, SILENCE_MS);
  }

  #giveUpAfter(milliseconds, why) {
    clearTimeout(this.#guard);
    this.#guard = setTimeout(() => {
      this.#letGo();
      this.#lost(why);
    }, milliseconds);
  }

  #letGo() {
    clearTimeout(this.#guard);
    const socket = this.#socket;
    this.#socket = null;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
    this.#hooks.onRelease(performance.now());
  }

  #whyClosed(event) {
    if (event.code === GOING_AWAY) return "the server is stopping";
    if (navigator.onLine === false) return "this device is offline";
    if (this.#said) return this.#said;
    if (event.reason) return event.reason.slice(0, 200);
    return this.#backoff.wasOpen ? "the connection broke" : "no answer";
  }
}

/** The server's own words, within bounds. */
function words(value) {
  return typeof value === "string" ? value.slice(0, 200) : "";
}
