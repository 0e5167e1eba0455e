// lab.js: the page's line to the server's lab, which tells what it observes: who is connected, what
// the kernel counted for each lane, what its own subscribers read. It comes back by itself and
// says again what the page wants. Messages of the topic do not travel here.

import { Backoff } from "./backoff.js";
import { parseJson } from "./net.js";

/** An attempt that has not connected by then is given up. */
const CONNECT_LIMIT_MS = 10_000;

/** The lab speaks twice a second; after so much silence the line is dead. */
const SILENCE_MS = 15_000;

const TOKEN_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789";
const TOKEN_LENGTH = 12;

/**
 * What the lab says goes to whoever listens for its `kind`: hello, table, wire, subscriber,
 * arrival, lost, trace, error. Two kinds are the page's own: `up`, when the line is there (before
 * the hello), and `down`, with `{why}`, when it broke or the lab is off.
 */
export class Lab {
  /** Names this page, so that the server knows which connections are its own. */
  page = token();
  /** @type {"unknown"|"off"|"connecting"|"up"|"waiting"} */
  state = "unknown";
  #topic;
  #socket = null;
  #timer = null;
  #guard = null;
  #backoff = new Backoff();
  #handlers = new Map();
  #wishes = {};
  #runs = new Set();

  /** @param {string} topic */
  constructor(topic) {
    this.#topic = topic;
  }

  /**
   * Calls a function with everything of a kind that the lab says.
   * @param {string} kind
   * @param {(told: object) => void} handler
   */
  listen(kind, handler) {
    const handlers = this.#handlers.get(kind) ?? [];
    this.#handlers.set(kind, [...handlers, handler]);
  }

  /** Connects, and stays connected until stopped. */
  start() {
    if (this.#socket || this.#timer !== null) return;
    this.#connect();
  }

  /** Closes the line for good. */
  stop() {
    clearTimeout(this.#timer);
    this.#timer = null;
    this.#letGo();
  }

  /** The server has no lab: says so once, and does not try. */
  turnOff() {
    this.stop();
    this.#become("off", { why: "off" });
  }

  /** Tries at once, instead of waiting for the next attempt. */
  retryNow() {
    if (this.#timer === null) return;
    clearTimeout(this.#timer);
    this.#timer = null;
    this.#connect();
  }

  /**
   * Tells the lab what the page wants, now and after every reconnection.
   * @param {{trace?: string|null, table?: boolean, run?: string[]}} wishes
   */
  say(wishes) {
    Object.assign(this.#wishes, wishes);
    if (this.state === "up") this.#socket.send(JSON.stringify(wishes));
  }

  /**
   * Has a subscriber run on the server's side, or ends it.
   * @param {string} via tcp or udp
   * @param {boolean} wanted
   */
  run(via, wanted) {
    if (this.#runs.has(via) === wanted) return;
    if (wanted) this.#runs.add(via);
    else this.#runs.delete(via);
    this.say({ run: [...this.#runs] });
  }

  /**
   * An address with the name of the lane that asks for it, so that the server can charge it.
   * @param {string} path
   * @param {string} lane
   * @returns {string}
   */
  tag(path, lane) {
    if (this.state === "off") return path;
    return `${path}${path.includes("?") ? "&" : "?"}lane=${this.page}.${lane}`;
  }

  #connect() {
    this.state = "connecting";
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    const query = new URLSearchParams({ page: this.page, topic: this.#topic });
    const socket = new WebSocket(`${scheme}//${location.host}/v1/lab?${query}`);
    this.#socket = socket;
    this.#giveUpAfter(CONNECT_LIMIT_MS);
    socket.onopen = () => {
      this.#backoff.opened();
      this.#giveUpAfter(SILENCE_MS);
      this.#become("up", {});
      if (Object.keys(this.#wishes).length > 0) this.say(this.#wishes);
    };
    socket.onmessage = ({ data }) => {
      this.#giveUpAfter(SILENCE_MS);
      const told = parseJson(data);
      if (typeof told?.kind === "string") this.#tell(told.kind, told);
    };
    socket.onclose = () => this.#lost();
  }

  #lost() {
    this.#letGo();
    const wait = this.#backoff.next();
    this.#timer = setTimeout(() => this.retryNow(), wait);
    this.#become("waiting", { why: "the line to the lab broke" });
  }

  #become(state, told) {
    this.state = state;
    this.#tell(state === "up" ? "up" : "down", told);
  }

  #tell(kind, told) {
    for (const handler of this.#handlers.get(kind) ?? []) handler(told);
  }

  #giveUpAfter(milliseconds) {
    clearTimeout(this.#guard);
    this.#guard = setTimeout(() => this.#lost(), milliseconds);
  }

  #letGo() {
    clearTimeout(this.#guard);
    const socket = this.#socket;
    this.#socket = null;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }
}

function token() {
  const drawn = crypto.getRandomValues(new Uint8Array(TOKEN_LENGTH));
  return [...drawn].map((one) => TOKEN_LETTERS[one % TOKEN_LETTERS.length]).join("");
}
