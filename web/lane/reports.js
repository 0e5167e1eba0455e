// lane/reports.js: what a lane reports while it runs, and where each report goes: to the counters,
// the journal, the arithmetic, the picture, the words. It decides nothing about connections.

/**
 * @typedef {object} Hooks what a lane calls
 * @property {(path: string) => string} tag names page and lane in an address
 * @property {() => Promise<void>} pass a packet crosses the network that is simulated
 * @property {() => (arrive: () => void) => void} connection over it, on which nothing overtakes
 * @property {(answer: object) => void} onAnswer a question was answered, or failed
 * @property {(bytes: number, overhead: number) => void} onConnect a line was opened
 * @property {(bytes: number, overhead: number, counted: boolean) => void} onFrame something came
 *   over an open line; `counted` if it was a message of the present count
 * @property {(at: number) => void} onHold the server keeps a question from now on
 * @property {(at: number) => void} onRelease the line, or the question, was let go
 * @property {(event: object, at: number, delay?: number) => boolean} onMessage
 * @property {(place: string) => void} onPlace the lane has got there in the log
 * @property {(gap: object) => void} onGap the server says that messages are gone
 * @property {(count: number) => void} onLost so many were lost under way
 * @property {(seconds: number) => void} onInterval the server asks for another interval than ours
 * @property {(why: string) => void} onForget what is still owed will not come
 * @property {(state: object) => void} onState
 */

/** The hooks of all lanes. */
export class Reports {
  #page;
  #hooks = new Map();

  /**
   * @param {object} page
   * @param {Record<string, import("./stats.js").LaneStats>} page.stats
   * @param {import("../lab/lab.js").Lab} page.lab
   * @param {import("../journal.js").Journal} page.journal
   * @param {import("../network.js").Network} page.network what is received crosses it
   * @param {import("../theory.js").Theory} page.theory
   * @param {import("../picture/timeline.js").Timeline} page.timeline
   * @param {(lane: string, state: object) => void} page.onState
   * @param {(lane: string, gap: object) => void} page.onGap
   */
  constructor(page) {
    this.#page = page;
  }

  /**
   * The hooks of one lane.
   * @param {string} name
   * @returns {Hooks}
   */
  of(name) {
    if (!this.#hooks.has(name)) this.#hooks.set(name, this.#make(name));
    return this.#hooks.get(name);
  }

  #make(name) {
    const { lab, journal, network, timeline } = this.#page;
    const spans = timeline.spans(name);
    return {
      tag: (path) => lab.tag(path, name),
      pass: () => network.pass(),
      connection: () => network.connection(),
      onAnswer: (answer) => this.#answered(name, answer),
      onConnect: (bytes, overhead) => this.#connected(name, bytes, overhead),
      onFrame: (bytes, overhead, counted) => this.#framed(name, bytes, overhead, counted),
      onHold: (at) => spans.begin(at),
      onRelease: (at) => spans.end(at),
      onMessage: (event, at, delay) => journal.arrived(name, event, at, delay),
      onPlace: (place) => journal.reached(name, place),
      onGap: (gap) => this.#gap(name, gap),
      onLost: (count) => (this.#page.stats[name].missed += count),
      onInterval: (seconds) => this.#page.theory.restart(seconds),
      onForget: (why) => journal.forget(name, why),
      onState: (state) => this.#changed(name, state),
    };
  }

  #answered(name, answer) {
    const { timeline, theory } = this.#page;
    const stats = this.#page.stats[name];
    if (name === "poll") timeline.addLook(answer);
    else timeline.spans(name).end(answer.endedAt, answer.kind);
    stats.requests += 1;
    stats.addBytes(answer.bytes, answer.overhead);
    if (answer.kind === "failed") stats.failed += 1;
    if (answer.kind !== "empty" && answer.kind !== "news") return;
    stats.answers += 1;
    stats.empty += answer.kind === "empty" ? 1 : 0;
    stats.unchanged += answer.unchanged ? 1 : 0;
    stats.withNews += answer.counted > 0 ? 1 : 0;
    if (name === "poll") theory.look(answer.kind === "empty", answer.askedAt);
    if (name === "longpoll") theory.question(answer.askedAt);
  }

  #connected(name, bytes, overhead) {
    const stats = this.#page.stats[name];
    stats.requests += 1;
    stats.addBytes(bytes, overhead);
    this.#page.theory.restart();
    this.#page.onConnect(name);
  }

  #framed(name, bytes, overhead, counted) {
    const stats = this.#page.stats[name];
    stats.addBytes(bytes, overhead);
    stats.withNews += counted ? 1 : 0;
  }

  #gap(name, gap) {
    this.#page.journal.gap(name, gap);
    this.#page.theory.restart();
    this.#page.onGap(name, gap);
  }

  /** A line is drawn for as long as it is up; a question draws its own (onHold, onAnswer). */
  #changed(name, state) {
    const spans = this.#page.timeline.spans(name);
    if (state.kind !== "up") spans.end(performance.now());
    else if (name !== "longpoll") spans.begin(performance.now());
    this.#page.onState(name, state);
  }
}
