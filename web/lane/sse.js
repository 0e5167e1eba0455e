// lane/sse.js: the lane of server-sent events, by the browser's own EventSource, which comes back
// by itself with the id of the last event. Where the browser gives up, the lane begins a new one
// after that id. With a token it does so each time, by a new ticket: an EventSource has no header
// for the token itself. It never asks for messages.

import { exchangeOverhead, frameOverhead, sseBytes, sseConnectBytes } from "./bytes.js";
import { ROOT, exchange, isPublished, parseJson, reasonOf } from "../net.js";
import { Reconnecting } from "../reconnecting.js";
import { hasToken } from "../token.js";
import { say } from "../words/say.js";

/** After so many keepalives that did not come the line is called dead. */
const KEEPALIVES_MISSED = 1.5;
const SILENCE_SLACK_MS = 10_000;

/** The lane of one topic. The last id stays from one start to the next. */
export class SseLane extends Reconnecting {
  #topic;
  #hooks;
  #keepalive;
  #source = null;
  /** Lets go of the ticket that is asked for. */
  #ticket = null;
  #since;

  /**
   * @param {string} topic
   * @param {() => number} keepalive seconds between two signs of life of the server
   * @param {import("./reports.js").Hooks} hooks
   * @param {string} [since] where to begin: what is new, unless it is said
   */
  constructor(topic, keepalive, hooks, since = "none") {
    super();
    this.#topic = topic;
    this.#keepalive = keepalive;
    this.#hooks = hooks;
    this.#since = since;
  }

  /** While the browser tries again by itself, another attempt may be quicker. */
  get isStuck() {
    return this.#source?.readyState !== EventSource.OPEN;
  }

  open() {
    const since = encodeURIComponent(this.#since);
    const path = this.#hooks.tag(`${ROOT}${encodeURIComponent(this.#topic)}/sse?since=${since}`);
    this.#hooks.onState({ kind: "connecting" });
    if (hasToken()) this.#openByTicket(path);
    else this.#connect(path);
  }

  async #openByTicket(path) {
    const { signal } = (this.#ticket = new AbortController());
    try {
      const query = new URLSearchParams({ filter: this.#topic });
      const asking = this.#hooks.tag(`${ROOT}v1/ticket?${query}`);
      const answer = await exchange(asking, { method: "POST" }, signal);
      if (signal.aborted) return;
      const ticket = parseJson(answer.text)?.ticket;
      if (answer.status !== 200 || !ticket) this.lost(reasonOf(answer));
      else this.#connect(`${path}&ticket=${encodeURIComponent(ticket)}`);
    } catch (error) {
      if (!signal.aborted) this.lost(error.message);
    }
  }

  #connect(path) {
    const arrive = this.#hooks.connection();
    const source = new EventSource(path);
    this.#source = source;
    // The server's first event has the name of the browser's own: the browser's has no data.
    const take = (event) => arrive(() => this.#source === source && this.#event(event, event.type));
    source.addEventListener("open", (event) => {
      if (event.data === undefined) this.#opened(path);
      else take(event);
    });
    source.addEventListener("message", take);
    source.addEventListener("keepalive", take);
    source.addEventListener("error", () => this.#failed(source));
  }

  close() {
    this.#ticket?.abort();
    this.#source?.close();
    this.#source = null;
    this.#hooks.onRelease(performance.now());
  }

  waits(why, wait) {
    this.#hooks.onState({ kind: "waiting", why, retryAt: performance.now() + wait });
  }

  #opened(path) {
    this.opened();
    this.#listen();
    const { asked, answered } = sseConnectBytes(path);
    this.#hooks.onConnect(asked + answered, exchangeOverhead(asked, answered, true));
    this.#hooks.onState({ kind: "up" });
  }

  #event({ data, lastEventId }, name) {
    const at = performance.now();
    const event = parseJson(data);
    if (event?.gap) this.#hooks.onGap(event.gap);
    const placed = typeof event?.id === "string";
    const isMessage = placed && isPublished(event);
    const counted = isMessage && this.#hooks.onMessage(event, at);
    const bytes = sseBytes(data, lastEventId, name);
    this.#hooks.onFrame(bytes, frameOverhead(bytes), counted);
    if (placed) {
      this.#since = event.id;
      this.#hooks.onPlace(event.id);
    }
    this.#listen();
  }

  /** The browser tries again by itself, unless the answer was no stream of events, or by a ticket,
   * which is good once. */
  #failed(source) {
    if (this.#source !== source) return;
    const why = say(navigator.onLine === false ? "why.offline" : "why.noanswer");
    const said = this.wasOpen ? say("why.broke") : why;
    if (source.readyState === EventSource.CLOSED || hasToken()) {
      this.lost(hasToken() ? said : why);
      return;
    }
    this.unguard();
    this.#hooks.onState({ kind: "down", why: say("why.trying", { why: said }) });
  }

  /** Waits for the next event; a line without signs of life is given up. */
  #listen() {
    const patience = this.#keepalive() * 1000 * KEEPALIVES_MISSED + SILENCE_SLACK_MS;
    this.giveUpAfter(patience, say("why.silent"));
  }
}
