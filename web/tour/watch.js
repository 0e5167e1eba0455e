// tour/watch.js: notices that a task of the tour was done, from what the page hears: messages in
// the lanes, the server's lab, the sliders. It keeps the state of each task and shows nothing.

import { duration } from "../format.js";
import { HALVES, LOOKS } from "./steps.js";

/** From this interval (seconds) and this rate (per second) on polling carries messages in bulk. */
const BULK_INTERVAL_S = 10;
const BULK_RATE = 5;

/** The lanes that are told unasked: those on the page's clock, as polling is, before the others. */
const PUSHED = [["sse", "ws"], ["tcp", "udp"]];

/** Texts published by hand whose arrival is waited for; older ones are forgotten. */
const RUNG_MAX = 8;

/**
 * @typedef {object} TaskState
 * @property {string} stage waiting, connected, half or done: a key of the task's texts
 * @property {Record<string, string|number>} values for the places in that text
 * @property {(Record<string, number>|null)[]} [results] what was counted of each terminal line
 */

/** The states of all tasks. Only those of the step that is open change. */
export class Watch {
  #onChange;
  /** @type {Map<string, TaskState>} */
  #states = new Map();
  /** @type {Set<string>} */
  #open = new Set();
  #rung = [];
  #rows = [];
  /** Those that were there when the step was opened, as they were then, by number. */
  #known = new Map();
  #halfRow = null;

  /** @param {(task: string, state: TaskState) => void} onChange */
  constructor(onChange) {
    this.#onChange = onChange;
  }

  /**
   * A step is open now: its tasks are the ones to watch.
   * @param {string[]} tasks keys
   */
  open(tasks) {
    this.#open = new Set(tasks);
    this.#remember();
    this.#halfRow = null;
  }

  /** @param {string} task @returns {TaskState} */
  stateOf(task) {
    return this.#states.get(task) ?? { stage: "waiting", values: {} };
  }

  /** A valid address was looked at. */
  looked() {
    this.#set("bytes", "done");
  }

  /**
   * A person publishes a text.
   * @param {string} text
   */
  rang(text) {
    this.#rung = [...this.#rung, text].slice(-RUNG_MAX);
  }

  /**
   * A message was heard in a lane.
   * @param {string} text
   * @param {Record<string, number>} delay how late, by lane, in milliseconds, where that is known
   */
  heard(text, delay) {
    if (text === HALVES.join("")) this.#set("half", "done");
    if (!this.#rung.includes(text)) return;
    const earliest = (lanes) => Math.min(...lanes.map((lane) => delay[lane] ?? Infinity));
    const pushed = PUSHED.map(earliest).find(Number.isFinite);
    if (pushed === undefined) return;
    if (delay.poll === undefined) this.#set("ring", "half");
    else this.#set("ring", "done", { push: duration(pushed), poll: duration(delay.poll) });
  }

  /**
   * The table of connections, as the lab tells it.
   * @param {object[]} rows
   */
  table(rows) {
    const isFirst = this.#rows.length === 0;
    this.#rows = rows;
    if (isFirst) this.#remember();
    const strangers = rows.filter((row) => !row.lane && !this.#known.has(row.number));
    const tcp = strangers.find((row) => row.via === "tcp");
    const udp = strangers.find((row) => row.via === "udp");
    if (tcp) this.#set("connect", "done", { peer: tcp.peer });
    if (udp) this.#set("datagram", "done", { peer: udp.peer });
    this.#half(rows, tcp);
  }

  /**
   * What crossed the wire for each lane, as the lab tells it.
   * @param {Record<string, object>} lanes
   */
  wire({ apart, kept }) {
    const results = [apart, kept].map((lane) => (lane ? counted(lane) : null));
    if (!results[0] && !results[1]) return;
    const isWhole = results[0]?.connections >= LOOKS && results[1]?.connections >= 1;
    const ratio = isWhole ? (results[0].packets / results[1].packets).toFixed(1) : "";
    this.#set("looks", isWhole ? "done" : "half", { ratio }, results);
  }

  /**
   * Segments of a connection, as the lab tells them. The goodbye of one that was open before the
   * trace began is not meant: choosing a way ends it.
   * @param {{has_begin: boolean, steps: {flags: string[]}[]}} told
   */
  trace({ has_begin: hasBegin, steps }) {
    if (hasBegin && steps.some((step) => step.flags.includes("FIN"))) this.#set("cut", "done");
  }

  /**
   * Where the sliders stand.
   * @param {number} interval seconds between two looks
   * @param {number} rate messages per second
   */
  sliders(interval, rate) {
    const isBulk = interval >= BULK_INTERVAL_S && rate >= BULK_RATE;
    this.#set("tune", isBulk ? "done" : "waiting", { interval: `${interval}\u00a0s`, rate });
  }

  #half(rows, stranger) {
    if (this.stateOf("half").stage === "done") return;
    const spoken = (row) => row.bytes_in - (this.#known.get(row.number)?.bytes_in ?? 0);
    // A connection that was there already counts once it says something.
    const speaker = rows.find((row) => row.via === "tcp" && !row.lane && spoken(row) > 0);
    this.#halfRow = speaker ?? stranger ?? this.#halfRow;
    const row = rows.find((one) => one.number === this.#halfRow?.number);
    if (!row) return;
    const values = { peer: row.peer, bytes: spoken(row) };
    const isWhole = row.filter !== undefined && this.#known.get(row.number)?.filter !== row.filter;
    this.#set("half", isWhole ? "done" : spoken(row) > 0 ? "half" : "connected", values);
  }

  #remember() {
    this.#known = new Map(this.#rows.map((row) => [row.number, row]));
  }

  #set(task, stage, values = {}, results = undefined) {
    if (!this.#open.has(task)) return;
    const before = this.stateOf(task);
    const state = { stage: before.stage === "done" ? "done" : stage, values, results };
    if (before.stage === "done" && stage !== "done") return;
    if (JSON.stringify(before) === JSON.stringify(state)) return;
    this.#states.set(task, state);
    this.#onChange(task, state);
  }
}

function counted({ connections, packets_in, packets_out, bytes_in, bytes_out }) {
  return { connections, packets: packets_in + packets_out, bytes: bytes_in + bytes_out };
}
