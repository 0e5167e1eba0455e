// picture/distribution.js: how the delays of each lane are spread, all on one logarithmic axis: a
// row for each lane, a bar for each narrow range of delays, a mark at the median. It measures
// nothing.

import { write } from "../elements.js";
import { duration } from "../format.js";
import { say } from "../words/say.js";

const SVG = "http://www.w3.org/2000/svg";

/** Ranges in which delays are counted together: so many for each power of ten. */
const BARS_PER_DECADE = 12;

/** The axis ends at powers of ten within these, in milliseconds, and covers three at least. */
const SHORTEST_EXPONENT = -2;
const LONGEST_EXPONENT = 5;
const DECADES_AT_LEAST = 3;

/** Pixels. */
const ROW_HEIGHT = 58;
const BAR_HEIGHT = 34;
const AXIS_HEIGHT = 26;
const LABELS = 92;
const RIGHT = 14;

/** The picture is drawn anew no more often than this. */
const REDRAW_MS = 1000;

/** The picture of all distributions. */
export class Distribution {
  #svg;
  #empty;
  #drawnAt = -Infinity;

  /**
   * @param {SVGSVGElement} svg
   * @param {HTMLElement} empty what is shown while there are no delays
   */
  constructor(svg, empty) {
    this.#svg = svg;
    this.#empty = empty;
    new ResizeObserver(() => (this.#drawnAt = -Infinity)).observe(svg.parentElement);
  }

  /**
   * Brings the picture up to date, if it is time.
   * @param {import("../scoreboard.js").Side[]} sides
   */
  show(sides) {
    const now = performance.now();
    if (now - this.#drawnAt < REDRAW_MS) return;
    this.#drawnAt = now;
    const some = sides.some(({ stats }) => stats.sorted.length > 0);
    this.#empty.hidden = some;
    this.#svg.classList.toggle("is-empty", !some);
    if (some) this.#draw(sides);
  }

  #draw(sides) {
    const width = Math.max(this.#svg.parentElement.clientWidth, 280);
    const height = sides.length * ROW_HEIGHT + AXIS_HEIGHT;
    const { low, high } = boundsOf(sides);
    const scale = (width - LABELS - RIGHT) / (high - low);
    const x = (milliseconds) => {
      const power = Math.log10(Math.max(milliseconds, 10 ** low));
      return LABELS + (Math.min(power, high) - low) * scale;
    };
    this.#svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.#svg.setAttribute("width", width);
    this.#svg.setAttribute("height", height);
    this.#svg.setAttribute("aria-label", sides.map(inWords).join(" "));
    const rows = sides.map((side, index) => drawRow(side, index * ROW_HEIGHT, x, scale, width));
    this.#svg.replaceChildren(...drawAxis(low, high, x, height), ...rows.flat());
  }
}

/** The powers of ten between which all delays lie. */
function boundsOf(sides) {
  const all = sides.flatMap(({ stats }) => [stats.sorted[0], stats.sorted.at(-1)]);
  const known = all.filter((value) => value !== undefined).map((value) => Math.max(value, 1e-2));
  const low = Math.max(SHORTEST_EXPONENT, Math.floor(Math.log10(Math.min(...known))));
  const high = Math.min(LONGEST_EXPONENT, Math.ceil(Math.log10(Math.max(...known))));
  return { low, high: Math.max(high, low + DECADES_AT_LEAST) };
}

function drawAxis(low, high, x, height) {
  const pieces = [];
  for (let power = low; power <= high; power++) {
    const at = x(10 ** power);
    const bottom = height - AXIS_HEIGHT;
    pieces.push(shape("path", { class: "grid", d: `M${at} 4V${bottom + 5}` }));
    const side = power === high ? "end" : "middle";
    const words = duration(10 ** power).replace(/\.0+(?=\D)/, "");
    pieces.push(label("axis", power === high ? at + RIGHT - 2 : at, height - 6, words, side));
  }
  return pieces;
}

function drawRow({ lane, stats }, top, x, scale, width) {
  const floor = top + ROW_HEIGHT - 6;
  const pieces = [
    shape("path", { class: "floor", d: `M${LABELS} ${floor}H${width - RIGHT}` }),
    label(`name of-${lane.name}`, 0, floor - 16, lane.title, "start"),
    label("note", 0, floor - 1,
      lane.clock === "page" ? countOf(stats) : say("picture.accepted"), "start"),
  ];
  if (stats.sorted.length === 0) return pieces;
  const drawn = bars(stats.sorted, floor, x, scale);
  pieces.push(shape("path", { class: `bars is-${lane.name}`, d: drawn }));
  const middle = x(stats.median);
  const tip = floor - BAR_HEIGHT - 4;
  pieces.push(shape("path", { class: `median is-${lane.name}`, d: `M${middle} ${tip}V${floor}` }));
  const nearEnd = middle > width - 70;
  pieces.push(label(`figure of-${lane.name}`, middle + (nearEnd ? -5 : 5), tip + 6,
    duration(stats.median), nearEnd ? "end" : "start"));
  return pieces;
}

/** Bars as one path: the highest range of a lane has the full height. */
function bars(sorted, floor, x, scale) {
  const counts = new Map();
  for (const delay of sorted) {
    const bar = Math.floor(Math.log10(Math.max(delay, 1e-2)) * BARS_PER_DECADE);
    counts.set(bar, (counts.get(bar) ?? 0) + 1);
  }
  const most = Math.max(...counts.values());
  const wide = Math.max(1.5, scale / BARS_PER_DECADE - 1);
  const paths = [...counts].map(([bar, count]) => {
    const left = x(10 ** (bar / BARS_PER_DECADE)) + 0.5;
    const tall = Math.max(2, (count / most) * BAR_HEIGHT);
    return `M${left.toFixed(1)} ${floor}v${-tall.toFixed(1)}h${wide.toFixed(1)}V${floor}z`;
  });
  return paths.join("");
}

function inWords({ lane, stats }) {
  const { sorted } = stats;
  if (sorted.length === 0) return say("picture.nodelay", { lane: lane.title });
  return say(lane.clock === "page" ? "picture.spread" : "picture.spreadserver", {
    lane: lane.title, least: duration(sorted[0]), most: duration(sorted.at(-1)),
    median: duration(stats.median), count: countOf(stats),
  });
}

function countOf(stats) {
  return say("picture.count", { count: stats.sorted.length });
}

function shape(name, attributes) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

function label(kind, x, y, words, side) {
  const element = shape("text", { class: kind, x, y, "text-anchor": side });
  write(element, words);
  return element;
}
