// net.js: where the server is, and one HTTP exchange with a time limit, used by whatever asks and
// by publishing. It is not a client library: no retries here, because each caller has its own
// reason to wait.

import { withToken } from "./token.js";
import { say } from "./words/say.js";

/** Where the server is on its host: behind a proxy it may have a path of its own. */
export const ROOT = new URL(".", location.href).pathname;

/** How long an exchange may take, answer body included, before it is given up. */
export const EXCHANGE_LIMIT_MS = 10_000;

/** Nothing comes from the browser's cache, and the server is not told what page asks. */
const EVERY_REQUEST = { cache: "no-store", referrerPolicy: "no-referrer" };

/** The longest wait that a server can impose on the page with Retry-After. */
const RETRY_AFTER_LIMIT_S = 120;

/** Events that were published: a message, or what was done to one. They have a place in the log. */
const PUBLISHED = ["message", "message_clear", "message_delete", "poll_request"];

/**
 * Whether an event was published, so that it has a place of its own.
 * @param {object|null} event
 * @returns {boolean}
 */
export function isPublished(event) {
  return PUBLISHED.includes(event?.event);
}

/**
 * Sends a request and reads the whole answer, or throws after the time limit.
 * @param {string} url
 * @param {RequestInit} options
 * @param {AbortSignal} [outer] lets the caller stop it earlier
 * @param {number} [longest] the time limit in milliseconds
 * @returns {Promise<{status: number, headers: Headers, text: string}>}
 */
export async function exchange(url, options, outer, longest = EXCHANGE_LIMIT_MS) {
  const limit = new AbortController();
  const giveUp = () => limit.abort();
  const timer = setTimeout(giveUp, longest);
  outer?.addEventListener("abort", giveUp, { once: true });
  try {
    const headers = withToken(options.headers);
    const { signal } = limit;
    const response = await fetch(url, { ...options, ...EVERY_REQUEST, headers, signal });
    const text = await response.text();
    return { status: response.status, headers: response.headers, text };
  } catch (error) {
    if (limit.signal.aborted && !outer?.aborted) {
      throw new Error(say("why.within", { seconds: longest / 1000 }));
    }
    throw new Error(say(navigator.onLine === false ? "why.offline" : "why.noanswer"), {
      cause: error,
    });
  } finally {
    clearTimeout(timer);
    outer?.removeEventListener("abort", giveUp);
  }
}

/**
 * The wait that a 429 or 503 asks for. The header may hold seconds or a date; a date would be
 * compared with this machine's clock, so it counts as the default of one second.
 * @param {Headers} headers
 * @returns {number} seconds
 */
export function retryAfter(headers) {
  const seconds = Number.parseFloat(headers.get("Retry-After") ?? "");
  if (!Number.isFinite(seconds) || seconds < 0) return 1;
  return Math.min(seconds, RETRY_AFTER_LIMIT_S);
}

/**
 * The reason in an error answer, in the server's own words where it gave any.
 * @param {{status: number, text: string}} answer
 * @returns {string}
 */
export function reasonOf(answer) {
  const body = parseJson(answer.text);
  if (typeof body?.error !== "string") return say("why.status", { status: answer.status });
  return say("why.said", { status: answer.status, error: body.error.slice(0, 200) });
}

/**
 * JSON or null, never an exception.
 * @param {string|null} text
 * @returns {any}
 */
export function parseJson(text) {
  try {
    return JSON.parse(text ?? "");
  } catch {
    return null;
  }
}
