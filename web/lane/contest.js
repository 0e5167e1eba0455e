// lane/contest.js: runs the lanes that are in the picture, starts and ends them as they are chosen,
// and lets them rest while nobody looks. What they bring and cost goes to the hooks (reports.js).

import { needsLab } from "./list.js";
import { LongPollLane } from "./longpoll.js";
import { PollLane } from "./polling.js";
import { WebSocketLane } from "./websocket.js";
import { SseLane } from "./sse.js";
import { SubscriberLane } from "./tcp_udp.js";
import { say } from "../words/say.js";

/** Goes on while the tab is hidden. The others would take connections from other tabs. */
const NEVER_RESTS = "ws";

/** Lanes, running or resting. */
export class Contest {
  #make;
  #reports;
  #seconds;
  #runners = new Map();
  #resting = false;

  /**
   * @param {string} topic
   * @param {number} seconds the polling interval
   * @param {import("../lab/lab.js").Lab} lab
   * @param {() => number} keepalive seconds between two signs of life of the server
   * @param {import("./reports.js").Reports} reports
   */
  constructor(topic, seconds, lab, keepalive, reports) {
    this.#reports = reports;
    this.#seconds = seconds;
    this.#make = {
      poll: (hooks) => new PollLane(topic, this.#seconds, hooks),
      longpoll: (hooks) => new LongPollLane(topic, hooks),
      sse: (hooks) => new SseLane(topic, keepalive, hooks),
      ws: (hooks) => new WebSocketLane(topic, hooks),
      tcp: (hooks) => new SubscriberLane("tcp", lab, hooks),
      udp: (hooks) => new SubscriberLane("udp", lab, hooks),
    };
  }

  /**
   * Runs these lanes and no others. One that comes anew begins at the end of the log.
   * @param {string[]} names
   */
  run(names) {
    for (const [name, runner] of this.#runners) {
      if (names.includes(name)) continue;
      runner.stop();
      this.#runners.delete(name);
      this.#reports.of(name).onForget(say("why.switchedoff"));
    }
    for (const name of names) {
      if (this.#runners.has(name)) continue;
      const runner = this.#make[name](this.#reports.of(name));
      this.#runners.set(name, runner);
      if (!this.#resting || name === NEVER_RESTS) runner.start();
    }
  }

  /** @param {number} seconds the polling interval */
  setPeriod(seconds) {
    this.#seconds = seconds;
    this.#runners.get("poll")?.setPeriod(seconds);
  }

  /** The tab is hidden. */
  rest() {
    this.#resting = true;
    for (const [name, runner] of this.#runners) if (name !== NEVER_RESTS) runner.stop();
  }

  /** The tab can be seen again. A lane that rested goes on where it was. */
  wake() {
    this.#resting = false;
    for (const runner of this.#runners.values()) runner.start();
  }

  /** Ends everything. */
  stop() {
    for (const runner of this.#runners.values()) runner.stop();
  }

  /** Cuts every line of this page that is open, to show how the lanes come back. */
  cut() {
    for (const runner of this.#runners.values()) runner.cut?.();
  }

  /**
   * Tries at once where a lane waits for its next attempt.
   * @param {string} [name] one lane, or all
   */
  retry(name) {
    for (const [lane, runner] of this.#runners) {
      if (name === undefined || name === lane) runner.retryNow?.();
    }
  }

  /** Begins every open line anew, after the last message that it saw. */
  renew() {
    for (const name of this.#runners.keys()) if (!needsLab(name)) this.reconnect(name);
  }

  /**
   * Begins the connection of one lane anew.
   * @param {string} name
   * @returns {boolean} false if the lane does not run, or keeps its connection whatever the page
   *   does, as polling may
   */
  reconnect(name) {
    const runner = this.#runners.get(name);
    if (!runner || name === "poll" || this.#resting) return false;
    runner.stop();
    runner.start();
    return true;
  }
}
