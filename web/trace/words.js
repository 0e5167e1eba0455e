// trace/words.js: the sentences of the wire's drawing: what a phase is, seen over each way, and
// remarks on a connection. The numbers come from the segments themselves.

import { count } from "../format.js";
import { say } from "../words/say.js";

/** A space that never breaks the line between a name and its number. */
const GLUE = "\u00a0";

/** A wide space, at which a line may break. */
const APART = "\u2002\u2002";

/** Ways that can be watched. */
export const WAYS = ["poll", "longpoll", "sse", "ws", "tcp"];

/** Ways on which the browser keeps a connection between two requests. */
const KEPT = ["poll", "longpoll"];

/**
 * What is seen in a phase, in one sentence.
 * @param {string} way
 * @param {string} phase
 * @returns {string}
 */
export function sentence(way, phase) {
  if (phase === "open" || phase === "close") return say(`trace.says_${phase}`);
  return say(`trace.says_${way}.${phase}`);
}

/**
 * Packets and bytes of a sum.
 * @param {import("./story.js").Sum} sum
 * @returns {string}
 */
export function cost({ packets, bytes }) {
  const values = { count: count(packets), bytes: count(bytes) };
  return say(packets === 1 ? "trace.packet" : "trace.packets", values);
}

/**
 * What a person should know about a connection.
 * @param {string} way
 * @param {import("./story.js").Connection} connection
 * @returns {string[]}
 */
export function remarks(way, connection) {
  const said = [];
  if (!connection.hasBegin && connection.steps.length > 0) {
    said.push(say(KEPT.includes(way) ? "trace.kept" : "trace.was"));
  }
  if (connection.goodbye === 3) said.push(say("trace.three"));
  if (connection.goodbye === 4) said.push(say("trace.four"));
  if (connection.isFull) said.push(say("trace.full"));
  return said;
}

/**
 * A time between two packets.
 * @param {number} microseconds
 * @returns {string}
 */
export function gap(microseconds) {
  const us = Math.max(0, microseconds);
  if (us < 99.95) return `${us.toFixed(1)}${GLUE}µs`;
  if (us < 999.5) return `${us.toFixed(0)}${GLUE}µs`;
  if (us < 99_950) return `${(us / 1e3).toFixed(1)}${GLUE}ms`;
  if (us < 999_500) return `${(us / 1e3).toFixed(0)}${GLUE}ms`;
  return `${(us / 1e6).toFixed(1)}${GLUE}s`;
}

/**
 * The numbers of a segment in the words of TCP.
 * @param {import("./story.js").Step} step
 * @returns {string}
 */
export function numbers(step) {
  const parts = [];
  if (step.payload_bytes > 0) parts.push(step.flags.join(GLUE));
  parts.push(`seq${GLUE}${step.seq}`);
  if (step.ack !== null) parts.push(`ack${GLUE}${step.ack}`);
  parts.push(`len${GLUE}${step.payload_bytes}`);
  if (step.packets > 1) parts.push(say("trace.several", { count: step.packets }));
  return parts.join(APART);
}
