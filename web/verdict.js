// verdict.js: what the counters say, in words, whichever lane they favour, and the theory beside
// the measurements. It counts nothing itself.

import { find, write } from "./elements.js";
import * as format from "./format.js";
import { MESSAGES_NEEDED, WORTH_SAYING } from "./scoreboard.js";
import { SAMPLES_NEEDED } from "./theory.js";
import { say } from "./words/say.js";

/**
 * Says which lane is ahead in what.
 * @param {import("./scoreboard.js").Side[]} sides
 */
export function showVerdict(sides) {
  const ready = sides.filter(({ stats }) => stats.messages >= MESSAGES_NEEDED);
  const words = [delays(ready), serverDelays(ready), bytes(ready)].filter(Boolean);
  const waiting = say("verdict.waiting");
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
  const interval = format.interval(theory.seconds);
  write(find("theory-setting"), say("theory.setting", { rate: rate.toFixed(2), interval }));
  expect("delay", `${seconds(delay.expected)} ±\u00a0${seconds(delay.spread)}`);
  const share = `${format.percent(empty.expected)} ± ${format.percent(empty.spread)}`;
  expect("empty", empty.samples >= SAMPLES_NEEDED ? share : format.NOTHING);
  const asked = `${perMinute(questions.expected)} ±\u00a0${questions.spread.toFixed(1)}`;
  expect("questions", questions.samples >= SAMPLES_NEEDED ? asked : format.NOTHING);
  write(find("measured-delay"), say("theory.measured", { value: measured(delay, seconds) }));
  write(find("measured-empty"), say("theory.measured", { value: measured(empty, format.percent) }));
  const held = measured(questions, perMinute);
  write(find("measured-questions"), say("theory.measured", { value: held }));
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
    const { requests, empty, messages } = stats;
    const key = lane.family === "poll" ? "verdict.asked" : "verdict.brought";
    const median = format.duration(stats.median);
    return say(key, { lane: lane.title, requests, empty, messages, median });
  }).join(" ");
}

/** Delays on this page's clock. */
function delays(sides) {
  const timed = sides.filter(({ lane, stats }) => lane.clock === "page" && stats.median > 0);
  if (timed.length < 2) return "";
  timed.sort((one, other) => one.stats.median - other.stats.median);
  const [first, last] = [timed[0], timed.at(-1)];
  const times = last.stats.median / first.stats.median;
  if (times * WORTH_SAYING < 1) return say("verdict.same");
  return say("verdict.ahead", {
    lane: first.lane.inText, delay: format.duration(first.stats.median), last: last.lane.inText,
    times: times >= 10 ? format.count(times) : times.toFixed(1),
  });
}

/** Delays on the server's clock, which cannot be compared with the others. */
function serverDelays(sides) {
  const timed = sides.filter(({ lane, stats }) => lane.clock === "server" && stats.median !== null);
  if (timed.length === 0) return "";
  const words = timed.map(({ lane, stats }) =>
    say("verdict.read", { lane: lane.inText, delay: format.duration(stats.median) }));
  return say("verdict.server", { lanes: words.join(say("verdict.comma")) });
}

/** Compares with packet headers, for without them a frame would seem to travel for nothing. */
function bytes(sides) {
  const known = sides.filter(({ wireEach }) => wireEach !== null && wireEach > 0);
  if (known.length < 2) return "";
  known.sort((one, other) => one.wireEach - other.wireEach);
  const [least, most] = [known[0], known.at(-1)];
  if (least.wireEach > most.wireEach * WORTH_SAYING) {
    return say("verdict.bytessame");
  }
  const times = (most.wireEach / least.wireEach).toFixed(1);
  const poll = known.find(({ lane }) => lane.family === "poll");
  const why = !poll ? ""
    : poll === least ? say("verdict.bulk", { count: format.ratio(poll.stats.perAnswer) })
    : poll === most ? say("verdict.vain", { share: format.percent(poll.stats.emptyShare) })
    : "";
  return say("verdict.bytes", {
    least: least.lane.inText, bytes: format.bytes(least.wireEach), most: most.lane.inText, times,
    why,
  });
}

function measured(side, show) {
  const { samples } = side;
  if (samples < SAMPLES_NEEDED) return say("theory.more", { count: SAMPLES_NEEDED - samples });
  return say("theory.sample", { value: show(side.measured), count: samples });
}

function expect(what, value) {
  write(find(`theory-${what}`), say("theory.expected", { value }));
}

function seconds(milliseconds) {
  return `${(milliseconds / 1000).toFixed(2)}\u00a0s`;
}

function perMinute(value) {
  return say("theory.perminute", { count: value.toFixed(1) });
}
