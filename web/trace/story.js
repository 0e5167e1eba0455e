// trace/story.js: what a trace has told so far: connections, their segments, the sums of their
// phases. Pure state; drawing.js draws it, and nothing here knows the page or the network.

/** The phases, in the order in which they come first. */
export const PHASES = ["open", "request", "answer", "push", "close"];

/** Connections kept; an older one goes when a newer one comes. */
export const CONNECTIONS_MAX = 4;

/** A silence from this on is drawn as one, in microseconds. */
export const SILENCE_US = 2000;

/**
 * @typedef {object} Step one segment, as the server's lab tells it
 * @property {number} at_us since the connection's first segment
 * @property {"client"|"server"} from
 * @property {string} phase one of PHASES
 * @property {string[]} flags
 * @property {number} seq
 * @property {number|null} ack
 * @property {number} payload_bytes
 * @property {number} wire_bytes with the headers of IP and TCP
 * @property {number} packets
 * @property {string} words
 *
 * @typedef {{packets: number, bytes: number, payload: number}} Sum
 */

/** One connection, from its first segment to its last. */
export class Connection {
  /** The number of the first segment that is kept; earlier ones may have been cleared away. */
  #offset;

  /** @param {object} told the first `trace` object that names it */
  constructor(told) {
    this.#offset = told.first;
    this.number = told.connection;
    this.client = told.client;
    this.server = told.server;
    /** When the message was published on the clock of the steps, in a recording. */
    this.published = told.published ?? null;
    /** @type {Step[]} */
    this.steps = [];
    this.hasBegin = false;
    this.hasEnd = false;
    this.isFull = false;
  }

  /**
   * Takes further segments in.
   * @param {object} told
   * @returns {boolean} whether earlier segments were told anew and have to be drawn again
   */
  take(told) {
    const first = Math.max(0, told.first - this.#offset);
    const isChanged = first < this.steps.length;
    this.steps.length = Math.min(this.steps.length, first);
    this.steps.push(...told.steps);
    this.hasBegin = told.has_begin === true;
    this.hasEnd = told.has_end === true;
    this.isFull = this.isFull || told.full === true;
    return isChanged;
  }

  /** @returns {number|null} how many segments the goodbye took, once it is over */
  get goodbye() {
    if (!this.hasEnd) return null;
    const fins = this.steps.flatMap((step, at) => (step.flags.includes("FIN") ? [at] : []));
    if (fins.length < 2) return null;
    const between = this.steps.slice(fins[0] + 1, fins[1]);
    return between.some((step) => step.from === this.steps[fins[1]].from) ? 4 : 3;
  }
}

/** All connections of one trace. */
export class Story {
  /** @type {Connection[]} */
  connections = [];

  /**
   * Takes a `trace` object of the lab in.
   * @param {object} told
   * @returns {{connection: Connection, isNew: boolean, isChanged: boolean, gone: Connection|null}}
   */
  take(told) {
    let connection = this.connections.find((one) => one.number === told.connection);
    const isNew = connection === undefined;
    let gone = null;
    if (isNew) {
      connection = new Connection(told);
      this.connections.push(connection);
      if (this.connections.length > CONNECTIONS_MAX) gone = this.connections.shift();
    }
    const isChanged = connection.take(told);
    return { connection, isNew, isChanged, gone };
  }

  /**
   * What a phase cost, over all connections that are kept.
   * @param {string} phase
   * @returns {Sum}
   */
  sum(phase) {
    return sumOf(this.connections.flatMap((one) => one.steps).filter((s) => s.phase === phase));
  }
}

/**
 * Packets and bytes of some steps.
 * @param {Step[]} steps
 * @returns {Sum}
 */
export function sumOf(steps) {
  const add = (sum, step) => ({
    packets: sum.packets + step.packets,
    bytes: sum.bytes + step.wire_bytes,
    payload: sum.payload + step.payload_bytes,
  });
  return steps.reduce(add, { packets: 0, bytes: 0, payload: 0 });
}
