// lab/lab.js: the page's line to the server's lab, which tells what it observes: who is connected,
// what the kernel counted for each lane, what its own subscribers read. It comes back by itself and
// says again what the page wants. Messages of the topic do not travel here.

import { ROOT, parseJson } from "../net.js";
import { Reconnecting, openSocket } from "../reconnecting.js";
import { say } from "../words/say.js";

/** The lab speaks twice a second; after so much silence the line is dead. */
const SILENCE_MS = 15_000;

/** What is said when there is no line, whatever the cause. */
const BROKE = say("why.labbroke");

const TOKEN_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789";
const TOKEN_LENGTH = 12;

/**
 * What the lab says goes to whoever listens for its `kind`: hello, table, wire, subscriber,
 * arrival, lost, trace, error. Two kinds are the page's own: `up`, when the line is there (before
 * the hello), and `down`, with `{why}`, when it broke or the lab is off.
 */
export class Lab extends Reconnecting {
  /** Names this page, so that the server knows which connections are its own. */
  page = token();
  /** @type {"unknown"|"off"|"connecting"|"up"|"waiting"} */
  state = "unknown";
  #topic;
  #socket = null;
  #handlers = new Map();
  #wants = {};
  #runs = new Set();

  /** @param {string} topic */
  constructor(topic) {
    super();
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

  /** The server has no lab: says so once, and does not try. */
  turnOff() {
    this.stop();
    this.#become("off", { why: "off" });
  }

  /**
   * Tells the lab what the page wants, now and after every reconnection.
   * @param {{trace?: string|null, table?: boolean, run?: string[]}} wants
   */
  say(wants) {
    Object.assign(this.#wants, wants);
    if (this.state === "up") this.#socket.send(JSON.stringify(wants));
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

  open() {
    this.state = "connecting";
    const query = new URLSearchParams({ page: this.page, topic: this.#topic });
    this.#socket = openSocket(`${ROOT}v1/lab?${query}`, {
      onopen: () => this.#opened(),
      onmessage: ({ data }) => this.#heard(data),
      onclose: () => this.lost(BROKE),
    });
  }

  close() {
    this.#socket?.close();
    this.#socket = null;
  }

  waits() {
    this.#become("waiting", { why: BROKE });
  }

  #opened() {
    this.opened();
    this.giveUpAfter(SILENCE_MS, BROKE);
    this.#become("up", {});
    if (Object.keys(this.#wants).length > 0) this.say(this.#wants);
  }

  #heard(data) {
    this.giveUpAfter(SILENCE_MS, BROKE);
    const told = parseJson(data);
    if (typeof told?.kind === "string") this.#tell(told.kind, told);
  }

  #become(state, told) {
    this.state = state;
    this.#tell(state === "up" ? "up" : "down", told);
  }

  #tell(kind, told) {
    for (const handler of this.#handlers.get(kind) ?? []) handler(told);
  }
}

function token() {
  const drawn = crypto.getRandomValues(new Uint8Array(TOKEN_LENGTH));
  return [...drawn].map((one) => TOKEN_LETTERS[one % TOKEN_LETTERS.length]).join("");
}
