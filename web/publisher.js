// publisher.js: publishes messages from this page and stamps each with this page's clock just
// before it leaves. It does not retry: a message that failed is reported and left to the person.

import { ROOT, exchange, parseJson, reasonOf, retryAfter } from "./net.js";
import { say } from "./words/say.js";

/** Publishes under way at the same time; more are refused here, before the server sees them. */
const OUTSTANDING_LIMIT = 8;

/** Publishes to one topic, within bounds. */
export class Publisher {
  #topic;
  #journal;
  #tag;
  #outstanding = 0;
  #blockedUntil = 0;

  /**
   * @param {string} topic
   * @param {import("./journal.js").Journal} journal
   * @param {(path: string) => string} tag names the page in an address
   */
  constructor(topic, journal, tag) {
    this.#topic = topic;
    this.#journal = journal;
    this.#tag = tag;
  }

  /** @returns {string|null} why nothing may be published right now, or null */
  get refusal() {
    const wait = this.#blockedUntil - performance.now();
    if (wait > 0) return say("why.wait", { seconds: Math.ceil(wait / 1000) });
    if (this.#outstanding >= OUTSTANDING_LIMIT) {
      return say("why.outstanding", { count: OUTSTANDING_LIMIT });
    }
    return null;
  }

  /**
   * Publishes one text.
   * @param {string} text
   * @returns {Promise<string|null>} null if it was accepted, otherwise the reason
   */
  async publish(text) {
    const refusal = this.refusal;
    if (refusal) return refusal;
    this.#outstanding += 1;
    this.#journal.publishBegan();
    const sentAt = performance.now();
    let event = null;
    try {
      const answer = await this.#post(text);
      if (answer.status !== 200) return this.#refused(answer);
      const told = parseJson(answer.text);
      event = typeof told?.id === "string" ? told : null;
      return event ? null : say("why.noid");
    } catch (error) {
      return error.message;
    } finally {
      this.#outstanding -= 1;
      this.#journal.publishEnded(event, sentAt);
    }
  }

  #post(text) {
    return exchange(this.#tag(`${ROOT}${encodeURIComponent(this.#topic)}`), {
      method: "POST",
      headers: { "Content-Type": "text/plain; charset=utf-8" },
      body: text,
    });
  }

  #refused(answer) {
    if (answer.status === 429 || answer.status === 503) {
      this.#blockedUntil = performance.now() + retryAfter(answer.headers) * 1000;
    }
    return reasonOf(answer);
  }
}
