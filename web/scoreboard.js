// scoreboard.js: puts the counters of both lanes on the page, says which lane is ahead in what,
// and sets the theory beside the measurements. It counts nothing itself.

import * as format from "./format.js";
import { SAMPLES_NEEDED } from "./theory.js";

/** A lane is called ahead only when the difference is worth the word. */
const WORTH_SAYING = 0.95;

/** Messages each lane must have brought before the two are compared. */
const MESSAGES_NEEDED = 5;

/**
 * Writes all counters.
 * @param {{poll: import("./stats.js").LaneStats, push: import("./stats.js").LaneStats}} stats
 */
export function showCounters({ poll, push }) {
  for (const [name, lane] of [["poll", poll], ["push", push]]) {
    put(`${name}-requests`, lane.requests, format.count);
    put(`${name}-messages`, lane.messages, format.count);
    put(`${name}-per-answer`, lane.perAnswer, format.ratio);
    put(`${name}-bytes`, lane.bytes, format.bytes);
    put(`${name}-each`, lane.bytesPerMessage, each);
    put(`${name}-wire`, lane.wire, format.bytes);
    put(`${name}-wire-each`, lane.wirePerMessage, each);
    put(`${name}-median`, lane.median, format.duration);
    put(`${name}-worst`, lane.worst, format.duration);
    put(`${name}-missed`, lane.missed, format.count);
    put(`${name}-repeated`, lane.repeated, format.count);
    put(`lane-${name}-median`, lane.median, format.duration);
  }
  put("poll-empty", poll.empty, format.count);
  put("poll-empty-share", poll.emptyShare, (share) => (share === null ? "" : percent(share)));
  put("poll-unchanged", poll.unchanged, format.count);
  put("poll-failed", poll.failed, (failed) => (failed ? `${failed} failed` : ""));
  markAhead("median", poll.median, push.median);
  markAhead("worst", poll.worst, push.worst);
  const fair = Math.min(poll.messages, push.messages) >= MESSAGES_NEEDED;
  markAhead("bytes", fair ? poll.bytesPerMessage : null, fair ? push.bytesPerMessage : null);
  markAhead("wire", fair ? poll.wirePerMessage : null, fair ? push.wirePerMessage : null);
  write("verdict", verdict(poll, push));
}

/**
 * Writes the comparison of theory and measurement.
 * @param {import("./theory.js").Theory} theory
 */
export function showTheory(theory) {
  const { rate, delay, empty } = theory.compare();
  write("theory-rate", rate.toFixed(2));
  write("theory-interval", format.interval(theory.seconds));
  write("theory-delay", `${seconds(delay.expected)} ± ${seconds(delay.spread)}`);
  const share = `${format.percent(empty.expected)} ± ${format.percent(empty.spread)}`;
  const ready = (side) => side.samples >= SAMPLES_NEEDED;
  write("theory-empty", ready(empty) ? share : format.NOTHING);
  write("measured-delay", measured(delay, seconds));
  write("measured-empty", measured(empty, format.percent));
}

/**
 * One spoken sentence on how both lanes stand, or null while there is nothing to tell.
 * @param {{poll: import("./stats.js").LaneStats, push: import("./stats.js").LaneStats}} stats
 * @returns {string|null}
 */
export function summary({ poll, push }) {
  if (push.messages + poll.messages + poll.answers === 0) return null;
  const asked = `Polling asked ${poll.requests} times, ${poll.empty} in vain, and brought ` +
    `${poll.messages} messages, median delay ${format.duration(poll.median)}.`;
  const rang = `Push brought ${push.messages} messages, median delay ` +
    `${format.duration(push.median)}.`;
  return `${asked} ${rang}`;
}

function measured(side, show) {
  if (side.samples >= SAMPLES_NEEDED) return `${show(side.measured)}, n = ${side.samples}`;
  return `after ${SAMPLES_NEEDED - side.samples} more samples`;
}

/** What the figures say, in words, whichever lane they favour. */
function verdict(poll, push) {
  if (Math.min(poll.messages, push.messages) < MESSAGES_NEEDED) {
    return "A few more messages, and this line says which lane is ahead in what.";
  }
  return [delayVerdict(poll, push), bytesVerdict(poll, push)].filter(Boolean).join(" ");
}

function delayVerdict(poll, push) {
  if (poll.median === null || push.median === null || push.median <= 0) return "";
  const times = poll.median / push.median;
  if (times * WORTH_SAYING < 1) return "Delay: no difference to speak of.";
  const factor = times >= 10 ? format.count(times) : times.toFixed(1);
  return `Delay: push is ahead; a visitor at the polling door waits ${factor} times as long.`;
}

/** Compares with packet headers, for without them a frame would seem to travel for nothing. */
function bytesVerdict(poll, push) {
  const [pushed, polled] = [push.wirePerMessage, poll.wirePerMessage];
  if (Math.min(pushed, polled) > Math.max(pushed, polled) * WORTH_SAYING) {
    return "Bytes on the wire: both lanes move about the same.";
  }
  if (pushed < polled) {
    const empties = format.percent(poll.emptyShare);
    return `Bytes on the wire: push is ahead, polling moves ${(polled / pushed).toFixed(1)} ` +
      `times as many for each message; ${empties} of its looks found nobody at the door.`;
  }
  return `Bytes on the wire: polling is ahead, push moves ${(pushed / polled).toFixed(1)} times ` +
    `as many for each message; one look brings ${format.ratio(poll.perAnswer)} at once.`;
}

function markAhead(row, poll, push) {
  const comparable = poll !== null && push !== null;
  mark(`poll-${row}`, comparable && poll < push * WORTH_SAYING);
  mark(`push-${row}`, comparable && push < poll * WORTH_SAYING);
}

function mark(id, ahead) {
  document.getElementById(id).closest("td").classList.toggle("ahead", ahead);
}

function put(id, value, show) {
  const element = document.getElementById(id);
  const raw = value === null ? "" : String(value);
  if (element.dataset.value === raw) return;
  element.dataset.value = raw;
  element.textContent = show(value);
}

function write(id, text) {
  const element = document.getElementById(id);
  if (element.textContent !== text) element.textContent = text;
}

function each(value) {
  return value === null ? "" : `${format.bytes(value)} each`;
}

function seconds(milliseconds) {
  return `${(milliseconds / 1000).toFixed(2)}\u00a0s`;
}

function percent(share) {
  return `(${format.percent(share)})`;
}
