// journal.js: the page's one record of every message: when this page sent it, when each lane
// brought it, and whether a lane lost or repeated it. All moments are performance.now() of this
// page, one clock. Delays that the server's side measured come with their lane, kept as told.

import { forEachLane } from "./lane/list.js";
import { say } from "./words/say.js";

/** Records kept, for the picture and for the check that nothing is missed or repeated. */
const RECORDS_KEPT = 5000;

/** How far the list may outgrow that before it is cut, so that it is cut seldom. */
const RECORDS_SLACK = 500;

/**
 * @typedef {object} Entry one message as this page knows it
 * @property {string} id
 * @property {number|null} sentAt when this page sent it; null if it came from elsewhere
 * @property {Record<string, number>} came when each lane brought it, or the page was told so
 * @property {Record<string, number>} delay how late, in milliseconds, where that is known
 * @property {Record<string, string>} lost why it will not come in a lane
 * @property {number} firstSeen
 * @property {number} round which count it belongs to
 * @property {object|null} event the message itself, once a lane has brought it
 */

/** Follows messages through all lanes and feeds the counters. */
export class Journal {
  /**
   * @param {Record<string, import("./lane/stats.js").LaneStats>} stats by lane
   * @param {{onDelay: Function, onMessage: Function}} hooks
   */
  constructor(stats, hooks) {
    this.stats = stats;
    this.hooks = hooks;
    this.entries = [];
    this.byId = new Map();
    this.round = 0;
    this.publishing = 0;
    this.visibleSince = performance.now();
    this.forgottenUpTo = "";
    this.lanes = forEachLane(newLane);
  }

  /** Begins a new count. Messages under way belong to the old one and are not counted. */
  restart() {
    this.round += 1;
  }

  /** The tab was hidden, and hidden tabs have slow timers: older delays would be unfair. */
  woke() {
    this.visibleSince = performance.now();
  }

  /** A publish of this page is under way: until it ends, an arrival may be this page's own. */
  publishBegan() {
    this.publishing += 1;
  }

  /**
   * A publish has ended.
   * @param {object|null} event the message as the server accepted it, or null if it was refused
   * @param {number} sentAt the stamp from just before the request
   */
  publishEnded(event, sentAt) {
    this.publishing = Math.max(0, this.publishing - 1);
    if (!event || this.#isForgotten(event.id)) return;
    const entry = this.#entry(event.id, sentAt);
    entry.sentAt = sentAt;
    entry.event ??= event;
    entry.firstSeen = Math.min(entry.firstSeen, sentAt);
    for (const lane of Object.keys(this.lanes)) {
      if (entry.came[lane] === undefined) this.#await(lane, entry);
      else if (entry.delay[lane] === undefined) this.#countDelay(lane, entry);
    }
  }

  /**
   * A lane has brought a message.
   * @param {string} lane
   * @param {object} event the message, or only its id
   * @param {number} at
   * @param {number} [delay] in milliseconds, if it was measured on the server's clock
   * @returns {boolean} whether it belongs to the present count
   */
  arrived(lane, event, at, delay) {
    if (this.#isForgotten(event.id)) return false;
    const isNew = !this.byId.has(event.id);
    const entry = this.#entry(event.id, at);
    this.lanes[lane].waiting.delete(event.id);
    if (entry.came[lane] !== undefined) {
      this.stats[lane].repeated += 1;
      return false;
    }
    const state = this.lanes[lane];
    const isLate = event.id < state.newest;
    if (isLate) this.stats[lane].disordered += 1;
    else state.newest = event.id;
    entry.came[lane] = at;
    delete entry.lost[lane];
    if (event.event) entry.event ??= event;
    for (const other of Object.keys(this.lanes)) if (other !== lane) this.#await(other, entry);
    const counted = entry.round === this.round;
    if (counted) this.stats[lane].messages += 1;
    this.#countDelay(lane, entry, delay);
    this.hooks.onMessage(entry, lane, isNew);
    return counted;
  }

  /**
   * A lane has reached a place in the log: whatever lies before it and has not come is missed.
   * @param {string} lane
   * @param {string} place an id
   */
  reached(lane, place) {
    const state = this.lanes[lane];
    state.start ??= place;
    state.reached = place;
    for (const id of state.waiting) {
      if (id <= place) this.#lose(lane, id);
    }
  }

  /**
   * The server has told a lane of a gap: what it still owes is in it. The ids of another log say
   * nothing about those before.
   * @param {string} lane
   * @param {{reason?: string}} gap
   */
  gap(lane, { reason }) {
    if (reason === "foreign") this.forgottenUpTo = "";
    this.forget(lane, say("why.gone"));
  }

  /**
   * What a lane still owes will not come, and that is known: it is told, so not missed.
   * @param {string} lane
   * @param {string} why
   */
  forget(lane, why) {
    for (const id of this.lanes[lane].waiting) {
      const entry = this.byId.get(id);
      if (entry) entry.lost[lane] = why;
    }
    this.lanes[lane] = newLane();
  }

  /**
   * Whether a message came from another page or program. While a publish of this page is under
   * way that is not yet known.
   * @param {Entry} entry
   * @returns {boolean}
   */
  isFromElsewhere(entry) {
    return entry.sentAt === null && this.publishing === 0;
  }

  /**
   * Whether a lane has yet to bring a message that it must bring.
   * @param {string} lane
   * @param {Entry} entry
   * @returns {boolean}
   */
  owes(lane, entry) {
    return this.lanes[lane].waiting.has(entry.id);
  }

  #entry(id, at) {
    let entry = this.byId.get(id);
    if (!entry) {
      entry = { id, sentAt: null, came: {}, delay: {}, lost: {}, firstSeen: at, event: null };
      entry.round = this.round;
      this.byId.set(id, entry);
      this.entries.push(entry);
      if (this.entries.length > RECORDS_KEPT + RECORDS_SLACK) this.#forgetOldest();
    }
    return entry;
  }

  #forgetOldest() {
    for (const entry of this.entries.splice(0, RECORDS_SLACK)) {
      this.byId.delete(entry.id);
      for (const state of Object.values(this.lanes)) state.waiting.delete(entry.id);
      if (entry.id > this.forgottenUpTo) this.forgottenUpTo = entry.id;
    }
  }

  #isForgotten(id) {
    return id <= this.forgottenUpTo;
  }

  /** Notes that a lane still owes a message, unless it is off or began after it. */
  #await(lane, entry) {
    const state = this.lanes[lane];
    if (entry.came[lane] !== undefined || state.start === null) return;
    if (entry.id <= state.start) return;
    state.waiting.add(entry.id);
    if (entry.id <= state.reached) this.#lose(lane, entry.id);
  }

  #lose(lane, id) {
    this.lanes[lane].waiting.delete(id);
    this.stats[lane].missed += 1;
    const entry = this.byId.get(id);
    if (entry) entry.lost[lane] = say("why.missed");
  }

  /** On the page's clock a delay is known for this page's own messages only. */
  #countDelay(lane, entry, told) {
    if (told === undefined && entry.sentAt === null) return;
    const delay = told ?? entry.came[lane] - entry.sentAt;
    entry.delay[lane] = delay;
    if (entry.round !== this.round || entry.firstSeen < this.visibleSince) return;
    this.stats[lane].addDelay(delay);
    this.hooks.onDelay(lane, delay, entry);
  }
}

function newLane() {
  return { start: null, reached: null, newest: "", waiting: new Set() };
}
