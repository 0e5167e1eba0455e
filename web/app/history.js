// app/history.js: what the server holds already, asked for page by page; what waits for its time;
// and what is done to a message for everybody. It keeps nothing.

import { Bookmark } from "../lane/bookmark.js";
import { ROOT, exchange, parseJson, reasonOf } from "../net.js";

/** Messages of one answer, and how long such an answer may take. */
const PAGE = 2_000;
const PAGE_LIMIT_MS = 60_000;

/** Messages that are shown of those that wait. */
const SCHEDULED_SHOWN = 500;

/**
 * Fetches all that is held of a filter.
 * @param {string} filter topics, parted by commas
 * @param {(event: object) => void} take
 * @param {AbortSignal} [signal]
 * @returns {Promise<string|null>} the place that was reached
 * @throws {Error} in the server's words, or the browser's
 */
export async function fetchHistory(filter, take, signal) {
  const bookmark = new Bookmark("all");
  for (;;) {
    const path = `${ROOT}${encodeURIComponent(filter)}/json?${bookmark.query}&max=${PAGE}`;
    const answer = await exchange(path, {}, signal, PAGE_LIMIT_MS);
    if (answer.status !== 200) throw new Refused(answer);
    const { messages, place, more } = bookmark.take(answer);
    messages.forEach(take);
    if (!more) return place;
  }
}

/** The server's answer was an error. */
export class Refused extends Error {
  /** @param {{status: number, text: string}} answer */
  constructor(answer) {
    super(reasonOf(answer));
    /** The status of HTTP. */
    this.status = answer.status;
  }
}

/**
 * What waits for its time, the next first.
 * @param {string} filter
 * @returns {Promise<object[]>}
 */
export async function fetchScheduled(filter) {
  const path = `${ROOT}${encodeURIComponent(filter)}/json?poll=1&since=none&sched=1`;
  const answer = await exchange(path, {}, undefined, PAGE_LIMIT_MS);
  if (answer.status !== 200) throw new Refused(answer);
  const events = answer.text.split("\n").filter(Boolean).map(parseJson);
  const waiting = events.filter((one) => one?.event === "message" && one.time * 1000 > Date.now());
  return waiting.sort((one, other) => one.time - other.time).slice(0, SCHEDULED_SHOWN);
}

/**
 * Takes a message back, or marks it as seen, for everybody who reads the topic.
 * @param {"delete"|"clear"} what
 * @param {string} topic
 * @param {string} series its sequence id
 */
export async function forEverybody(what, topic, series) {
  const path = `${ROOT}${encodeURIComponent(topic)}/${encodeURIComponent(series)}`;
  const answer =
    what === "delete"
      ? await exchange(path, { method: "DELETE" })
      : await exchange(`${path}/clear`, { method: "PUT" });
  if (answer.status !== 200) throw new Refused(answer);
}
