// verdict.js: what the counters say, in words, whichever lane they favour, and the theory beside
// the measurements. It counts nothing itself.

import { find, write } from "./elements.js";
import * as format from "./format.js";
import { MESSAGES_NEEDED, WORTH_SAYING } from "./scoreboard.js";
import { SAMPLES_NEEDED } from "./theory.js";

/**
 * Says which lane is ahead in what.
 * @param {import("./scoreboard.js").Side[]} sides
 */
export function showVerdict(sides) {
  const ready = sides.filter(({ stats }) => stats.messages >= MESSAGES_NEEDED);
  const words = [delays(ready), serverDelays(ready), bytes(ready)].filter(Boolean);
  const waiting = "A few more messages, and this line says which lane is ahead in what.";
  const compared = ready.length > 0 && ready.length === sides.length;
  write(find("verdict"), compared && words.length > 0 ? words.join(" ") : waiting);
}

/**
 * Writes the comparison of theory and measurement for the lanes that ask.
 * @param {import("./theory.js").Theory} theory
 * @param {string[]} lanes those in the picture
 */
export function showTheory(theory, lanes) {
  const { rate, delay, empty, questions } = theory.compare();
  find("theory-poll").hidden = !lanes.includes("poll");
  find("theory-longpoll").hidden = !lanes.includes("longpoll");
  find("theory").hidden = !lanes.includes("poll") && !lanes.includes("longpoll");
  write(find("theory-rate"), rate.toFixed(2));
  write(find("theory-interval"), format.interval(theory.seconds));
  write(find("theory-delay"), `${seconds(delay.expected)} ±\u00a0${seconds(delay.spread)}`);
  const share = `${format.percent(empty.expected)} ± ${format.percent(empty.spread)}`;
  write(find("theory-empty"), empty.samples >= SAMPLES_NEEDED ? share : format.NOTHING);
  write(find("measured-delay"), measured(delay, seconds));
  write(find("measured-empty"), measured(empty, format.percent));
  const asked = `${perMinute(questions.expected)} ±\u00a0${questions.spread.toFixed(1)}`;
  write(find("theory-questions"), questions.samples >= SAMPLES_NEEDED ? asked : format.NOTHING);
  write(find("measured-questions"), measured(questions, perMinute));
}

/**
 * A few spoken sentences on how the lanes stand, or null while there is nothing to tell.
 * @param {import("./scoreboard.js").Side[]} sides
 * @returns {string|null}
 */
export function summary(sides) {
  const told = sides.filter(({ stats }) => stats.messages + stats.answers > 0);
  if (told.length === 0) return null;
  return told.map(({ lane, stats }) => {
    const asked = lane.family === "poll"
      ? ` asked ${stats.requests} times, ${stats.empty} in vain, and`
      : "";
    return `${lane.title}${asked} brought ${stats.messages} messages, median delay ` +
      `${format.duration(stats.median)}.`;
  }).join(" ");
}

/** Delays on this page's clock. */
function delays(sides) {
  const timed = sides.filter(({ lane, stats }) => lane.clock === "page" && stats.median > 0);
  if (timed.length < 2) return "";
  timed.sort((one, other) => one.stats.median - other.stats.median);
  const [first, last] = [timed[0], timed.at(-1)];
  const times = last.stats.median / first.stats.median;
  if (times * WORTH_SAYING < 1) return "Delay: no difference to speak of.";
  const factor = times >= 10 ? format.count(times) : times.toFixed(1);
  const least = format.duration(first.stats.median);
  const ahead = `Delay: ${first.lane.inText} is ahead with ${least}; `;
  if (last.lane.family !== "poll") return `${ahead}${last.lane.inText} takes ${factor} times as long.`;
  return `${ahead}a visitor at the polling door waits ${factor} times as long.`;
}

/** Delays on the server's clock, which cannot be compared with the others. */
function serverDelays(sides) {
  const timed = sides.filter(({ lane, stats }) => lane.clock === "server" && stats.median !== null);
  if (timed.length === 0) return "";
  const words = timed.map(({ lane, stats }) =>
    `${lane.inText} after ${format.duration(stats.median)}`);
  return "On the server's clock, from its acceptance on, a message was read by " +
    `${words.join(", by ")}.`;
}

/** Compares with packet headers, for without them a frame would seem to travel for nothing. */
function bytes(sides) {
  const known = sides.filter(({ wireEach }) => wireEach !== null && wireEach > 0);
  if (known.length < 2) return "";
  known.sort((one, other) => one.wireEach - other.wireEach);
  const [least, most] = [known[0], known.at(-1)];
  if (least.wireEach > most.wireEach * WORTH_SAYING) {
    return "Bytes on the wire: all move about the same.";
  }
  const times = (most.wireEach / least.wireEach).toFixed(1);
  const poll = known.find(({ lane }) => lane.family === "poll");
  const why = !poll ? ""
    : poll === least ? `; one look of polling brings ${format.ratio(poll.stats.perAnswer)} at once`
    : poll === most ? `; ${format.percent(poll.stats.emptyShare)} of its looks found nobody`
    : "";
  return `Bytes on the wire for each message: ${least.lane.inText} moves the fewest, ` +
    `${format.bytes(least.wireEach)}, ${most.lane.inText} ${times} times as many${why}.`;
}

function measured(side, show) {
  if (side.samples >= SAMPLES_NEEDED) return `${show(side.measured)}, n\u00a0=\u00a0${side.samples}`;
  return `after ${SAMPLES_NEEDED - side.samples} more samples`;
}

function seconds(milliseconds) {
  return `${(milliseconds / 1000).toFixed(2)}\u00a0s`;
}

function perMinute(value) {
  return `${value.toFixed(1)}/min`;
}
