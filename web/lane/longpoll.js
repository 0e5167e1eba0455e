// lane/longpoll.js: the lane that asks and lets the server keep its answer back until there is
// news. As soon as it is answered it asks again, with its cursor, so that what happens in between
// is in the next answer. It has no schedule: polling.js has one.

import { Backoff } from "../backoff.js";
import { Bookmark } from "./bookmark.js";
import { answerBytes, exchangeOverhead, requestBytes } from "./bytes.js";
import { ROOT, exchange, reasonOf, retryAfter } from "../net.js";
import { withToken } from "../token.js";
import { say } from "../words/say.js";

/** How long the server may keep an answer back. */
export const HOLD_SECONDS = 30;

/** How much longer than that the lane waits, before it gives a question up. */
const SLACK_MS = 10_000;

/** An empty answer that comes sooner was not held: asking again at once could go on for ever. */
const HELD_AT_LEAST_MS = 1000;

/** The long poll lane of one topic. */
export class LongPollLane {
  #topic;
  #hooks;
  #bookmark;
  #backoff = new Backoff();
  #timer = null;
  #stop = null;
  #fresh = true;

  /**
   * @param {string} topic
   * @param {import("./reports.js").Hooks} hooks
   * @param {string} [since] where to begin: what is new, unless it is said
   */
  constructor(topic, hooks, since) {
    this.#topic = topic;
    this.#hooks = hooks;
    this.#bookmark = new Bookmark(since);
  }

  /** Asks once for what there is, or for the place to begin at, then always has a question waiting:
   * whether anybody answers is known at once. */
  start() {
    if (this.#stop) return;
    this.#stop = new AbortController();
    this.#ask(this.#stop);
  }

  /** Takes the question back. The cursor stays for the next start. */
  stop() {
    clearTimeout(this.#timer);
    this.#timer = null;
    this.#stop?.abort();
    this.#stop = null;
    this.#hooks.onRelease(performance.now());
  }

  /** Asks at once, instead of waiting for the next attempt. */
  retryNow() {
    if (!this.#stop || this.#timer === null) return;
    clearTimeout(this.#timer);
    this.#timer = null;
    this.#ask(this.#stop);
  }

  /** Takes the question back on purpose, to show how the lane comes back. */
  cut() {
    if (!this.#stop || this.#timer !== null) return;
    this.stop();
    this.#stop = new AbortController();
    this.#fresh = true;
    this.#later(this.#backoff.next(), say("why.cut"));
  }

  async #ask(stop) {
    const starting = this.#fresh || this.#bookmark.isNew;
    const askedAt = performance.now();
    if (this.#fresh) this.#hooks.onState({ kind: "connecting" });
    try {
      const address = `${ROOT}${encodeURIComponent(this.#topic)}/json?${this.#bookmark.query}`;
      const path = this.#hooks.tag(starting ? address : `${address}&wait=${HOLD_SECONDS}s`);
      const { headers } = this.#bookmark;
      if (!starting) this.#hooks.onHold(askedAt);
      const longest = HOLD_SECONDS * 1000 + SLACK_MS;
      await this.#hooks.pass();
      if (stop.signal.aborted) return;
      const answer = await exchange(path, { headers }, stop.signal, longest);
      await this.#hooks.pass();
      if (stop.signal.aborted) return;
      this.#answered(answer, { askedAt, path, headers, starting });
    } catch (error) {
      if (stop.signal.aborted) return;
      const cost = { askedAt, endedAt: performance.now(), bytes: 0, overhead: 0 };
      this.#hooks.onAnswer({ kind: "failed", ...cost });
      this.#later(this.#backoff.next(), error.message);
    }
  }

  #answered(answer, { askedAt, path, headers, starting }) {
    const endedAt = performance.now();
    const asked = requestBytes("GET", path, withToken(headers));
    const answered = answerBytes(path, answer);
    const overhead = exchangeOverhead(asked, answered, this.#fresh);
    const cost = { askedAt, endedAt, bytes: asked + answered, overhead };
    if (answer.status !== 200 && answer.status !== 304) {
      this.#hooks.onAnswer({ kind: "failed", ...cost });
      const busy = answer.status === 429 || answer.status === 503;
      const wait = busy ? retryAfter(answer.headers) * 1000 : 0;
      this.#later(Math.max(wait, this.#backoff.next()), reasonOf(answer));
      return;
    }
    this.#fresh = false;
    this.#backoff.opened();
    this.#hooks.onState({ kind: "up" });
    const { messages, gap, place } = this.#bookmark.take(answer);
    if (gap) this.#hooks.onGap(gap);
    const counted = messages.filter((one) => this.#hooks.onMessage(one, endedAt)).length;
    if (place) this.#hooks.onPlace(place);
    const kind = messages.length > 0 ? "news" : starting ? "start" : "empty";
    const unchanged = answer.status === 304;
    this.#hooks.onAnswer({ kind, ...cost, unchanged, brought: messages.length, counted });
    const wasHeld = endedAt - askedAt >= HELD_AT_LEAST_MS;
    if (kind === "empty" && !wasHeld && !gap) {
      this.#later(this.#backoff.next(), say("why.notheld"));
    }
    else this.#ask(this.#stop);
  }

  #later(wait, why) {
    this.#fresh = true;
    this.#timer = setTimeout(() => this.retryNow(), wait);
    this.#hooks.onState({ kind: "waiting", why, retryAt: performance.now() + wait });
  }
}
