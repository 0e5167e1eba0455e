// trace/words.js: the sentences of the wire's drawing: what a phase is, seen over each way, and
// remarks on a connection. Only words; the numbers come from the segments themselves.

/** A space that never breaks the line between a name and its number. */
const GLUE = "\u00a0";

/** A wide space, at which a line may break. */
const APART = "\u2002\u2002";

const OPEN = "Both sides agree on the numbers they count from: three packets, one round trip, " +
  "and nothing said yet.";
const CLOSE = "Each direction ends by itself: a FIN, and an ACK for it.";

const SEEN = {
  poll: {
    request: "Every look is a request, whether or not there is news.",
    answer: "Mostly empty: a short 304, or news that has waited for somebody to ask.",
    push: "None. To those who poll, nobody speaks first.",
  },
  longpoll: {
    request: "A request that says: answer when you have something.",
    answer: "Kept back until there is news. Then the next request has to follow.",
    push: "None in name: the kept answer does its work.",
  },
  sse: {
    request: "One request, for as long as the connection lives.",
    answer: "It begins, and does not end.",
    push: "Each message is a further piece of that answer: a packet and its ACK.",
  },
  ws: {
    request: "One request, to turn HTTP into a WebSocket.",
    answer: "101: from here on it is a socket, and both sides may speak.",
    push: "The server speaks unasked: one packet a message, and its ACK.",
  },
  tcp: {
    request: "A line: SUB and a topic. That is the whole protocol.",
    answer: "A line: ok.",
    push: "The server speaks unasked, and even first: one line a message, and its ACK.",
  },
};

/** Ways that can be watched. */
export const WAYS = Object.keys(SEEN);

/**
 * What is seen in a phase, in one sentence.
 * @param {string} way
 * @param {string} phase
 * @returns {string}
 */
export function sentence(way, phase) {
  if (phase === "open") return OPEN;
  if (phase === "close") return CLOSE;
  return SEEN[way][phase];
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
    said.push(way === "poll" || way === "longpoll"
      ? "It was open already: the browser keeps it between requests, so there is no handshake to " +
        "see. That is how polling saves."
      : "It was open already, so its handshake was not seen.");
  }
  if (connection.goodbye === 3) {
    said.push("The goodbye took three segments: the other side had nothing left to say, so its " +
      "FIN came with its ACK.");
  }
  if (connection.goodbye === 4) {
    said.push("The goodbye took four segments: a FIN and its ACK in each direction.");
  }
  if (connection.isFull) {
    said.push("Full: no more of this connection is drawn. Reconnect to go on.");
  }
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
  if (step.packets > 1) parts.push(`${step.packets}${GLUE}packets`);
  return parts.join(APART);
}
