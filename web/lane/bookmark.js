// lane/bookmark.js: the place of a lane that asks: what it sends so that no message comes twice and
// none is missed, and what an answer does to it. It sends nothing itself.

import { isPublished, parseJson } from "../net.js";

/** Where a lane that asks has got to. */
export class Bookmark {
  #since;
  #tag = null;

  /** @param {string} [since] where to begin: what is new, unless it is said */
  constructor(since = "none") {
    this.#since = since;
  }

  /** @returns {boolean} whether there is no place yet: the first answer names it */
  get isNew() {
    return this.#since === "none";
  }

  /** @returns {string} the parameters of the next request */
  get query() {
    return `poll=1&since=${encodeURIComponent(this.#since)}`;
  }

  /** @returns {Record<string, string>} its headers: an unchanged answer is a short 304 */
  get headers() {
    return this.#tag ? { "If-None-Match": this.#tag } : {};
  }

  /**
   * Moves to the place that an answer of 200 or 304 names.
   * @param {{status: number, headers: Headers, text: string}} answer
   * @returns {{messages: object[], gap: object|null, place: string|null, more: boolean}} `more`
   *   if there is news that did not fit into this answer
   */
  take(answer) {
    const messages = answer.status === 200 ? messagesIn(answer.text) : [];
    const told = parseJson(answer.headers.get("Doorbell-Gap"));
    const gap = told ?? messages.find((one) => one.gap)?.gap ?? null;
    const place = answer.headers.get("Doorbell-Next") ?? messages.at(-1)?.id ?? null;
    const moved = place !== null && place !== this.#since;
    const more = answer.headers.get("Doorbell-More") === "1" && moved;
    if (place) this.#since = place;
    // The tag stands for the newest message. While older ones are still to be fetched it must
    // not be sent, or the server could rightly say that nothing has changed.
    const tag = answer.headers.get("ETag");
    if (more) this.#tag = null;
    else if (tag) this.#tag = tag;
    return { messages, gap, place, more };
  }
}

/** What was published in an NDJSON answer; other events and broken lines are left out. */
function messagesIn(text) {
  const events = text.split("\n").filter(Boolean).map(parseJson);
  return events.filter((one) => isPublished(one) && typeof one.id === "string");
}
