// lab/wire.js: what the server's kernel counted for the lanes of this page, from the beginning of a
// count on. The lab tells totals of its session; sessions end and begin anew, counts do too.
// These are counts, not estimates: lane/bytes.js has those.

/**
 * @typedef {object} Counted bytes and packets, with the headers of IP and TCP or UDP
 * @property {number} bytesIn to the server
 * @property {number} bytesOut from the server
 * @property {number} packetsIn
 * @property {number} packetsOut
 * @property {number} payloadIn without those headers
 * @property {number} payloadOut
 * @property {number} connections opened
 */

const FIELDS = {
  bytesIn: "bytes_in",
  bytesOut: "bytes_out",
  packetsIn: "packets_in",
  packetsOut: "packets_out",
  payloadIn: "payload_in",
  payloadOut: "payload_out",
  connections: "connections",
};

/** Follows the counts of all lanes. */
export class WireCounts {
  #before = new Map();
  #session = new Map();
  #zero = new Map();

  /** @param {import("./lab.js").Lab} lab */
  constructor(lab) {
    lab.listen("hello", () => this.#sessionBegan());
    lab.listen("wire", ({ lanes }) => this.#take(lanes));
  }

  /** Begins a new count: what was before is subtracted from now on. */
  restart() {
    for (const lane of this.#session.keys()) this.#zero.set(lane, this.#total(lane));
  }

  /**
   * What was counted for a lane, or null if the lab has not told.
   * @param {string} lane
   * @returns {Counted|null}
   */
  of(lane) {
    if (!this.#session.has(lane)) return null;
    return add(this.#total(lane), this.#zero.get(lane), -1);
  }

  #total(lane) {
    return add(this.#session.get(lane), this.#before.get(lane), 1);
  }

  #sessionBegan() {
    for (const lane of this.#session.keys()) this.#before.set(lane, this.#total(lane));
    for (const lane of this.#session.keys()) this.#session.set(lane, add(null, null, 0));
  }

  #take(lanes) {
    for (const [lane, told] of Object.entries(lanes ?? {})) {
      const read = ([name, theirs]) => [name, Number(told?.[theirs]) || 0];
      this.#session.set(lane, Object.fromEntries(Object.entries(FIELDS).map(read)));
    }
  }
}

function add(one, other, sign) {
  const sum = (name) => [name, (one?.[name] ?? 0) + sign * (other?.[name] ?? 0)];
  return Object.fromEntries(Object.keys(FIELDS).map(sum));
}
