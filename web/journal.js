// journal.js: the page's one record of every message: when this page sent it, when each lane
// brought it, and whether a lane lost or repeated it. All times are performance.now() of this
// page, one clock. It is not the server's log and never looks at the server's time stamps.

/** Records kept, for the picture and for the check that nothing is missed or repeated. */
const RECORDS_KEPT = 5000;

/** How far the list may outgrow that before it is cut, so that it is cut seldom. */
const RECORDS_SLACK = 500;

/** The first characters of an id name the log; ids of two logs cannot be compared. */
const LOG_NAME_LENGTH = 3;

/**
 * @typedef {object} Entry one message as this page knows it
 * @property {string} id
 * @property {number|null} sentAt when this page sent it; null if it came from elsewhere
 * @property {number|null} poll when polling brought it
 * @property {number|null} push when push brought it
 * @property {{poll: string, push: string}} lost why it will not come in a lane, or ""
 * @property {number} firstSeen
 * @property {number} round which count it belongs to
 * @property {object|null} event the message itself, once a lane has brought it
 */

/** Follows messages through both lanes and feeds the counters. */
export class Journal {
  /**
   * @param {{poll: import("./stats.js").LaneStats, push: import("./stats.js").LaneStats}} stats
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
    this.lanes = { poll: newLane(), push: newLane() };
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
   * @param {string|null} id what the server called the message, or null if it was refused
   * @param {number} sentAt the stamp from just before the request
   */
  publishEnded(id, sentAt) {
    this.publishing = Math.max(0, this.publishing - 1);
    if (!id || this.#isForgotten(id)) return;
    const entry = this.#entry(id, sentAt);
    entry.sentAt = sentAt;
    entry.firstSeen = Math.min(entry.firstSeen, sentAt);
    for (const lane of ["push", "poll"]) {
      if (entry[lane] === null) this.#await(lane, entry);
      else this.#countDelay(lane, entry);
    }
  }

  /**
   * A lane has brought a message.
   * @param {"poll"|"push"} lane
   * @param {object} event the message
   * @param {number} at
   * @returns {boolean} whether it belongs to the present count
   */
  arrived(lane, event, at) {
    if (this.#isForgotten(event.id)) return false;
    const entry = this.#entry(event.id, at);
    this.lanes[lane].waiting.delete(event.id);
    if (entry[lane] !== null) {
      this.stats[lane].repeated += 1;
      return false;
    }
    entry[lane] = at;
    entry.lost[lane] = "";
    entry.event ??= event;
    this.#await(lane === "poll" ? "push" : "poll", entry);
    const counted = entry.round === this.round;
    if (counted) this.stats[lane].messages += 1;
    this.#countDelay(lane, entry);
    this.hooks.onMessage(entry, lane);
    return counted;
  }

  /**
   * A lane has reached a place in the log: whatever lies before it and has not come is missed.
   * @param {"poll"|"push"} lane
   * @param {string} place an id
   */
  reached(lane, place) {
    const state = this.lanes[lane];
    if (state.reached === null || !sameLog(state.reached, place)) {
      state.start = place;
      state.waiting.clear();
    }
    state.reached = place;
    for (const id of state.waiting) {
      if (id <= place) this.#lose(lane, id);
    }
  }

  /**
   * The server has said that a lane's messages are gone: they are reported, so not missed.
   * @param {"poll"|"push"} lane
   */
  gapTold(lane) {
    for (const id of this.lanes[lane].waiting) {
      const entry = this.byId.get(id);
      if (entry) entry.lost[lane] = "gone, in a gap";
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

  #entry(id, at) {
    let entry = this.byId.get(id);
    if (!entry) {
      const lost = { poll: "", push: "" };
      entry = { id, sentAt: null, poll: null, push: null, lost, firstSeen: at, event: null };
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
      this.lanes.poll.waiting.delete(entry.id);
      this.lanes.push.waiting.delete(entry.id);
      if (entry.id > this.forgottenUpTo) this.forgottenUpTo = entry.id;
    }
  }

  #isForgotten(id) {
    return sameLog(id, this.forgottenUpTo) && id <= this.forgottenUpTo;
  }

  /** Notes that a lane still owes a message, unless it began after it. */
  #await(lane, entry) {
    const state = this.lanes[lane];
    if (entry[lane] !== null || state.start === null) return;
    if (!sameLog(state.start, entry.id) || entry.id <= state.start) return;
    state.waiting.add(entry.id);
    if (entry.id <= state.reached) this.#lose(lane, entry.id);
  }

  #lose(lane, id) {
    this.lanes[lane].waiting.delete(id);
    this.stats[lane].missed += 1;
    const entry = this.byId.get(id);
    if (entry) entry.lost[lane] = "missed it";
  }

  #countDelay(lane, entry) {
    if (entry.sentAt === null || entry[lane] === null) return;
    if (entry.round !== this.round || entry.sentAt < this.visibleSince) return;
    const delay = entry[lane] - entry.sentAt;
    this.stats[lane].addDelay(delay);
    this.hooks.onDelay(lane, delay, entry);
  }
}

function newLane() {
  return { start: null, reached: null, waiting: new Set() };
}

function sameLog(one, other) {
  return one.slice(0, LOG_NAME_LENGTH) === other.slice(0, LOG_NAME_LENGTH);
}
