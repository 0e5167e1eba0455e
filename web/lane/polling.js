// lane/polling.js: the lane that walks to the door: one request every T seconds on a fixed
// schedule, with a cursor, so that nothing falls between two looks, and with If-None-Match, so that
// an unchanged answer is a short 304. It is not long polling: no answer is ever held back.

import { interval } from "../format.js";
import { Bookmark } from "./bookmark.js";
import { answerBytes, exchangeOverhead, requestBytes } from "./bytes.js";
import { ROOT, exchange, reasonOf, retryAfter } from "../net.js";
import { withToken } from "../token.js";
import { say } from "../words/say.js";

/** The polling lane of one topic. */
export class PollLane {
  #topic;
  #hooks;
  #period;
  #bookmark = new Bookmark();
  #dueAt = 0;
  /** What the server asks for between two requests, in milliseconds; 0 if it asks for nothing. */
  #named = 0;
  #timer = null;
  #stop = null;

  /**
   * @param {string} topic
   * @param {number} seconds between two requests
   * @param {import("./reports.js").Hooks} hooks
   */
  constructor(topic, seconds, hooks) {
    this.#topic = topic;
    this.#period = seconds * 1000;
    this.#hooks = hooks;
  }

  /** Asks once for the place to begin at, then looks every T from a random phase on. */
  start() {
    if (this.#stop) return;
    this.#stop = new AbortController();
    this.#dueAt = performance.now();
    this.#arm();
  }

  /** Stops, and forgets nothing: the cursor stays for the next start. */
  stop() {
    clearTimeout(this.#timer);
    this.#timer = null;
    this.#stop?.abort();
    this.#stop = null;
  }

  /**
   * Changes the interval. The new schedule begins at a random phase, because a timer that
   * happens to be in step with the publisher would flatter or harm polling.
   * @param {number} seconds
   */
  setPeriod(seconds) {
    this.#period = seconds * 1000;
    if (!this.#stop || this.#bookmark.isNew) return;
    this.#dueAt = performance.now() + Math.random() * this.#period;
    if (this.#timer !== null) this.#arm();
  }

  #arm() {
    clearTimeout(this.#timer);
    const wait = Math.max(0, this.#dueAt - performance.now());
    this.#timer = setTimeout(() => this.#look(), wait);
  }

  async #look() {
    this.#timer = null;
    const stop = this.#stop;
    const starting = this.#bookmark.isNew;
    const askedAt = performance.now();
    try {
      this.#planNext(starting);
      await this.#ask(askedAt, starting, stop);
    } catch (error) {
      if (stop.signal.aborted) return;
      const cost = { askedAt, endedAt: performance.now(), bytes: 0, overhead: 0 };
      this.#hooks.onAnswer({ kind: "failed", ...cost });
      this.#hooks.onState({ kind: "down", why: error.message });
    }
    if (!stop.signal.aborted) this.#arm();
  }

  async #ask(askedAt, starting, stop) {
    const address = `${ROOT}${encodeURIComponent(this.#topic)}/json?${this.#bookmark.query}`;
    const path = this.#hooks.tag(address);
    const { headers } = this.#bookmark;
    await this.#hooks.pass();
    if (stop.signal.aborted) return;
    const answer = await exchange(path, { headers }, stop.signal);
    await this.#hooks.pass();
    const endedAt = performance.now();
    if (stop.signal.aborted) return;
    const asked = requestBytes("GET", path, withToken(headers));
    const answered = answerBytes(path, answer);
    const overhead = exchangeOverhead(asked, answered, starting);
    const cost = { askedAt, endedAt, bytes: asked + answered, overhead };
    if (answer.status !== 200 && answer.status !== 304) {
      this.#refused(answer, cost);
      return;
    }
    this.#obey(answer.headers, askedAt);
    const { messages, gap, place, more } = this.#bookmark.take(answer);
    if (gap) this.#hooks.onGap(gap);
    const counted = messages.filter((one) => this.#hooks.onMessage(one, endedAt)).length;
    if (place) this.#hooks.onPlace(place);
    if (more) this.#dueAt = performance.now();
    const kind = starting ? "start" : messages.length > 0 ? "news" : "empty";
    const unchanged = answer.status === 304;
    this.#hooks.onAnswer({ kind, ...cost, unchanged, brought: messages.length, counted });
  }

  /** The server may name a longer interval than ours: it says so with each answer. */
  #obey(headers, askedAt) {
    const named = headers.has("Retry-After") ? retryAfter(headers) * 1000 : 0;
    const isLonger = named > this.#period;
    if (isLonger) this.#dueAt = Math.max(this.#dueAt, askedAt + named);
    if (isLonger && named !== this.#named) this.#hooks.onInterval(named / 1000);
    this.#named = named;
    const more = isLonger ? say("lane.named", { interval: interval(named / 1000) }) : undefined;
    this.#hooks.onState({ kind: "up", more });
  }

  #refused(answer, cost) {
    this.#hooks.onAnswer({ kind: "failed", ...cost });
    this.#hooks.onState({ kind: "down", why: reasonOf(answer) });
    if (answer.status === 429 || answer.status === 503) {
      const allowed = performance.now() + retryAfter(answer.headers) * 1000;
      this.#dueAt = Math.max(this.#dueAt, allowed);
    }
  }

  /** The next moment of the schedule: fixed steps, so that slow answers do not stretch it. */
  #planNext(starting) {
    const now = performance.now();
    if (starting) {
      this.#dueAt = now + Math.random() * this.#period;
      return;
    }
    this.#dueAt += this.#period;
    if (this.#dueAt <= now) this.#dueAt = now + this.#period;
  }
}
