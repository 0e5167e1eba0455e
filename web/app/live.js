// app/live.js: one connection for all topics, over the fastest way that gets through: a WebSocket,
// server-sent events, or long polls. It is the page's own lanes that connect, come back and resume;
// here is decided which of them, and what its state is called. It keeps no message.

import { LongPollLane } from "../lane/longpoll.js";
import { SseLane } from "../lane/sse.js";
import { WebSocketLane } from "../lane/websocket.js";
import { ROOT, exchange, reasonOf } from "../net.js";

/** Attempts of a way that never connected, before another one is tried. */
const ATTEMPTS = 2;

/** Seconds between two signs of life, unless the server says otherwise. */
const KEEPALIVE_S = 40;

const WAYS = ["ws", "sse", "longpoll"];

/**
 * @typedef {object} State
 * @property {"idle"|"connecting"|"up"|"down"|"offline"|"refused"} kind
 * @property {string} [way] of `up`: by which way
 * @property {string} [why] the reason, in the server's words or the browser's
 * @property {number} [retryAt] on the page's clock
 * @property {boolean} [isAgain] of `connecting`: whether it was connected, or tried, before
 */

/** The connection. */
export class Live {
  #hooks;
  #filters = [];
  #place = null;
  #keepalive = KEEPALIVE_S;
  #lane = null;
  /** What was told of the lane. A device that is offline for a moment may keep its connection.
   * @type {State} */
  #state = { kind: "idle" };
  #way = 0;
  #wasUp = false;
  #failures = 0;

  /**
   * @param {object} hooks
   * @param {(event: object) => void} hooks.onEvent something was published
   * @param {(gap: object) => void} hooks.onGap
   * @param {(place: string) => void} hooks.onPlace
   * @param {(state: State) => void} hooks.onState
   * @param {(filter: string, why: string) => void} hooks.onRefused one filter may not be read
   */
  constructor(hooks) {
    this.#hooks = hooks;
    addEventListener("online", () => {
      hooks.onState(this.#state);
      this.retryNow();
    });
    addEventListener("offline", () => hooks.onState({ kind: "offline" }));
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) this.retryNow();
    });
  }

  /** @param {object|null} config what the server says of itself */
  learned(config) {
    this.#keepalive = config?.keepalive_seconds ?? this.#keepalive;
  }

  /**
   * Listens to these filters from a place on, and to no others any more.
   * @param {string[]} filters
   * @param {string} place
   */
  listen(filters, place) {
    this.#stop();
    this.#filters = filters;
    this.#place = place;
    if (filters.length === 0) this.#tell({ kind: "idle" });
    else this.#start();
  }

  /** Tries at once, instead of waiting for the next attempt. */
  retryNow() {
    this.#lane?.retryNow();
  }

  #start() {
    this.#stop();
    this.#wasUp = false;
    this.#failures = 0;
    const filter = this.#filters.join(",");
    const lane = this.#make(WAYS[this.#way], filter, this.#hooksOf(() => this.#lane === lane));
    this.#lane = lane;
    lane.start();
  }

  #stop() {
    const lane = this.#lane;
    this.#lane = null;
    lane?.stop();
  }

  #make(way, filter, hooks) {
    if (way === "ws") return new WebSocketLane(filter, hooks, this.#place);
    if (way === "sse") return new SseLane(filter, () => this.#keepalive, hooks, this.#place);
    return new LongPollLane(filter, hooks, this.#place);
  }

  /** What a lane calls. A lane that was let go of is not heard any more. */
  #hooksOf(isCurrent) {
    const heard = (act) => (...given) => isCurrent() && act(...given);
    const nothing = () => {};
    return {
      tag: (path) => path,
      pass: async () => {},
      connection: () => (arrive) => arrive(),
      onAnswer: nothing,
      onConnect: nothing,
      onFrame: nothing,
      onHold: nothing,
      onRelease: nothing,
      onMessage: heard((event) => this.#hooks.onEvent(event)),
      onGap: heard((gap) => this.#hooks.onGap(gap)),
      onPlace: heard((place) => {
        this.#place = place;
        this.#hooks.onPlace(place);
      }),
      onState: (state) => queueMicrotask(() => isCurrent() && this.#changed(state)),
    };
  }

  #changed({ kind, why, retryAt }) {
    if (kind === "up") {
      this.#wasUp = true;
      this.#failures = 0;
      this.#tell({ kind: "up", way: WAYS[this.#way] });
    } else if (kind === "connecting") {
      this.#tell({ kind: "connecting", isAgain: this.#wasUp || this.#failures > 0 });
    } else {
      this.#failures += 1;
      const state = { kind: navigator.onLine === false ? "offline" : "down", why, retryAt };
      this.#tell(state);
      if (!this.#wasUp || this.#failures >= ATTEMPTS) this.#inquire(this.#lane, state);
    }
  }

  /** Asks why nothing connects: nobody answers, it is not allowed, or this way is blocked. */
  async #inquire(lane, state) {
    try {
      const answer = await ask(this.#filters.join(","));
      if (this.#lane !== lane) return;
      if (answer.status === 401) this.#refused(reasonOf(answer));
      else if (answer.status === 403) await this.#sort(lane, reasonOf(answer));
      else if (answer.status !== 200) this.#tell({ ...state, why: reasonOf(answer) });
      else if (!this.#wasUp && this.#failures >= ATTEMPTS) {
        this.#way = (this.#way + 1) % WAYS.length;
        this.#start();
      }
    } catch {
      // Nobody answers: the lane goes on trying by itself.
    }
  }

  /** Goes on with the filters that may be read. */
  async #sort(lane, reason) {
    const allowed = [];
    for (const filter of this.#filters) {
      const answer = await ask(filter);
      if (this.#lane !== lane) return;
      if (answer.status === 200) allowed.push(filter);
      else this.#hooks.onRefused(filter, reasonOf(answer));
    }
    if (allowed.length === 0) this.#refused(reason);
    else if (allowed.length < this.#filters.length) this.listen(allowed, this.#place);
  }

  #refused(why) {
    this.#stop();
    this.#tell({ kind: "refused", why });
  }

  #tell(state) {
    this.#state = state;
    this.#hooks.onState(state);
  }
}

function ask(filter) {
  return exchange(`${ROOT}${encodeURIComponent(filter)}/auth`, {});
}
