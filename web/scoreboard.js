// scoreboard.js: the table of counters, a column for each lane, and the tick for whoever is ahead.
// It counts nothing itself, and what the figures mean in words is verdict.js's.

import { find, make, write } from "./elements.js";
import * as format from "./format.js";
import { LANES } from "./lane/list.js";
import { DELAYS_FOR_P99 } from "./lane/stats.js";
import { say } from "./words/say.js";

/** A lane is called ahead only when the difference is worth the word. */
export const WORTH_SAYING = 0.95;

/** Messages each lane must have brought before they are compared. */
export const MESSAGES_NEEDED = 5;

/**
 * @typedef {object} Side what is known of one lane
 * @property {import("./lane/list.js").Lane} lane
 * @property {import("./lane/stats.js").LaneStats} stats
 * @property {import("./lab/wire.js").Counted|null} wire null: not counted, only estimated
 * @property {number|null} payload application bytes, counted or estimated
 * @property {number|null} wireBytes both directions, counted or estimated
 * @property {number|null} wireEach the same for each message
 */

/**
 * Collects what is known of the lanes in the picture.
 * @param {string[]} names
 * @param {Record<string, import("./lane/stats.js").LaneStats>} stats
 * @param {import("./lab/wire.js").WireCounts} wires
 * @returns {Side[]}
 */
export function sidesOf(names, stats, wires) {
  return LANES.filter(({ name }) => names.includes(name)).map((lane) => {
    const { name } = lane;
    const wire = wires.of(name);
    const seen = lane.clock === "page";
    const payload = wire ? wire.payloadIn + wire.payloadOut : seen ? stats[name].bytes : null;
    const estimate = seen ? stats[name].wire : null;
    const wireBytes = wire ? wire.bytesIn + wire.bytesOut : estimate;
    const wireEach = perMessage(wireBytes, stats[name]);
    return { lane, stats: stats[name], wire, payload, wireBytes, wireEach };
  });
}

/** The rows: a key for the cells' ids, the key of the heading, and what stands in a cell. */
const ROWS = [
  { key: "median", title: "median", show: ({ stats }) => [format.duration(stats.median)] },
  { key: "p99", title: "p99", show: showP99 },
  { key: "worst", title: "worst", show: ({ stats }) => [format.duration(stats.worst)] },
  { key: "requests", title: "requests", show: showRequests },
  { key: "empty", title: "empty", show: showEmpty },
  { key: "unchanged", title: "unchanged", part: true, show: showUnchanged },
  { key: "messages", title: "messages", show: ({ stats }) => [format.count(stats.messages)] },
  { key: "per-answer", title: "answer",
    show: ({ stats }) => [format.ratio(stats.perAnswer)] },
  { key: "bytes", title: "bytes", note: "howbytes", show: showPayload },
  { key: "wire", title: "wire", note: "howwire", show: showWire },
  { key: "wire-in", title: "in", part: true,
    show: ({ wire }) => [format.bytes(wire?.bytesIn ?? null)] },
  { key: "wire-out", title: "out", part: true,
    show: ({ wire }) => [format.bytes(wire?.bytesOut ?? null)] },
  { key: "packets", title: "packets", show: showPackets },
  { key: "missed", title: "missed", show: ({ stats }) => [format.count(stats.missed)] },
  { key: "disordered", title: "disordered",
    show: ({ stats }) => [format.count(stats.disordered)] },
  { key: "repeated", title: "repeated", show: ({ stats }) => [format.count(stats.repeated)] },
];

/** What is compared: the less, the better. Delays only where the clock is the same. */
const COMPARED = {
  median: ({ lane, stats }) => (lane.clock === "page" ? stats.median : null),
  p99: ({ lane, stats }) => (lane.clock === "page" ? stats.p99 : null),
  worst: ({ lane, stats }) => (lane.clock === "page" ? stats.worst : null),
  bytes: ({ payload, stats }) => perMessage(payload, stats),
  wire: ({ wireEach }) => wireEach,
};

/**
 * Builds the table, with a column for every lane.
 * @param {HTMLTableElement} table
 */
export function buildScoreboard(table) {
  const heads = LANES.map(({ name, title, clock }) => {
    const words = say(clock === "page" ? "score.pageclock" : "score.serverclock");
    const head = make("th", { scope: "col", class: `of-${name}`, "data-lane": name }, title);
    head.append(make("small", {}, words));
    return head;
  });
  const rows = ROWS.map((row) => make("tr", row.part ? { class: "part" } : {}, heading(row),
    ...LANES.map(({ name }) => make("td", { "data-lane": name },
      make("span", { id: `${name}-${row.key}` }),
      make("small", { id: `${name}-${row.key}-more` })))));
  table.replaceChildren(
    make("caption", { class: "only-spoken" }, say("score.caption")),
    make("thead", {}, make("tr", {}, make("td"), ...heads)),
    make("tbody", {}, ...rows),
  );
}

/**
 * Writes all counters of the lanes in the picture; hides the columns of the others.
 * @param {HTMLTableElement} table
 * @param {Side[]} sides
 */
export function showCounters(table, sides) {
  for (const { name } of LANES) {
    const out = !sides.some(({ lane }) => lane.name === name);
    if (table.querySelector(`[data-lane="${name}"]`).hidden === out) continue;
    for (const cell of table.querySelectorAll(`[data-lane="${name}"]`)) cell.hidden = out;
  }
  for (const row of ROWS) {
    const best = bestOf(sides, COMPARED[row.key]);
    for (const side of sides) {
      const id = `${side.lane.name}-${row.key}`;
      const [text, more = ""] = row.show(side);
      write(find(id), text);
      write(find(`${id}-more`), more);
      const value = best === null ? null : COMPARED[row.key](side);
      find(id).parentElement.classList.toggle("ahead", value !== null && value <= best);
    }
  }
}

/**
 * The highest figure that still counts as ahead, or null if no lane is.
 * @param {Side[]} sides
 * @param {((side: Side) => number|null)|undefined} measure
 * @returns {number|null}
 */
function bestOf(sides, measure) {
  if (!measure) return null;
  const known = sides.filter(({ stats }) => stats.messages >= MESSAGES_NEEDED).map(measure);
  const values = known.filter((value) => value !== null);
  if (values.length < 2) return null;
  const bound = Math.min(...values) / WORTH_SAYING;
  return values.some((value) => value > bound) ? bound : null;
}

function heading({ title, note, part }) {
  const head = make("th", { scope: "row" }, part ? "· " : "", say(`score.${title}`));
  if (!note) return head;
  const link = make("a", { href: "#counting", "aria-label": say(`score.${note}`) }, "*");
  head.append(" ", link);
  return head;
}

function showP99({ stats }) {
  const more = DELAYS_FOR_P99 - stats.sorted.length;
  return [format.duration(stats.p99), more > 0 ? say("score.after", { count: more }) : ""];
}

function showRequests({ lane, stats }) {
  const count = format.count(stats.failed);
  const failed = stats.failed > 0 ? say("score.failed", { count }) : "";
  return [format.count(stats.requests), lane.family === "push" ? say("score.connect") : failed];
}

function showEmpty({ lane, stats }) {
  if (lane.family === "push") return [format.NOTHING, say("score.none")];
  const share = stats.emptyShare;
  return [format.count(stats.empty), share === null ? "" : format.percent(share)];
}

function showUnchanged({ lane, stats }) {
  return [lane.family === "push" ? format.NOTHING : format.count(stats.unchanged)];
}

function showPayload({ wire, payload, stats }) {
  return [told(wire, payload), each(perMessage(payload, stats))];
}

function showWire({ wire, wireBytes, wireEach }) {
  return [told(wire, wireBytes), each(wireEach)];
}

/** Counted as it is; estimated with a mark. */
function told(wire, bytes) {
  const mark = wire || bytes === null ? "" : "≈\u00a0";
  return mark + format.bytes(bytes);
}

function showPackets({ wire }) {
  return [wire ? format.count(wire.packetsIn + wire.packetsOut) : format.NOTHING];
}

function perMessage(value, stats) {
  return value === null || stats.messages === 0 ? null : value / stats.messages;
}

function each(value) {
  return value === null ? "" : say("score.each", { bytes: format.bytes(value) });
}
