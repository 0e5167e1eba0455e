// app/series.js: what makes two events versions of one message, and which of two messages is the
// newer. Pure functions.

/**
 * What all versions of a message have in common, and what is done to it.
 * @param {object} event
 * @returns {string}
 */
export function keyOf(event) {
  return `${event.topic} ${seriesOf(event)}`;
}

/**
 * By what a message is called when something is done to it.
 * @param {object} event
 * @returns {string}
 */
export function seriesOf(event) {
  return event.sequence_id ?? event.id;
}

/**
 * When an event came, in microseconds.
 * @param {object} event
 * @returns {number}
 */
export function moment(event) {
  return Number(event.time_us) || (Number(event.time) || 0) * 1e6;
}

/**
 * The order of messages in a list.
 * @param {import("./inbox.js").Message} one
 * @param {import("./inbox.js").Message} other
 * @returns {number}
 */
export function newestFirst({ event: one }, { event: other }) {
  return moment(other) - moment(one) || (one.id < other.id ? 1 : -1);
}
