// picture/polling.js: draws the polling lane: each look, and above it how long each event waits at
// the door. The other lanes are push.js's.

import { duration } from "../format.js";
import { cross, stroke, text } from "./ink.js";
import { say } from "../words/say.js";

/** Rows in which events wait without covering each other. */
const ROW_HEIGHT = 15;

/** A row is taken back after this long, even if polling never brings its event. */
const LONGEST_HOLD_MS = 90_000;

/** Room kept beside a waiting bar for its figure. */
const LABEL_WIDTH = 46;

/** Rows remembered. */
const ROWS_KEPT = 3200;

/** The lowest row is for those that find no other: there they lie over each other, unnamed. */
const CROWDED_ROWS = 1;

/** Draws the lane, and remembers in which row each event waits. */
export class AskingPicture {
  #rows = new Map();
  #holders = [];
  #width = 0;

  /**
   * Draws the lane.
   * @param {import("./picture.js").Frame} frame
   * @param {string} lane
   * @param {import("../journal.js").Entry[]} entries
   * @param {object[]} looks
   * @param {import("../journal.js").Journal} journal
   */
  draw(frame, lane, entries, looks, journal) {
    const { width } = frame.tracks[lane];
    // Whether two figures fit into one row depends on the width.
    if (this.#rows.size > ROWS_KEPT || width !== this.#width) this.#forget(width);
    const waits = entries.map((entry) => this.#drawWait(frame, lane, entry, journal));
    for (const look of looks) drawLook(frame, lane, look);
    // Words last, so that no bar goes through them.
    for (const wait of waits) if (wait?.label) text(frame, ...wait.label);
    const count = waits.filter((wait) => wait?.isCrowded).length;
    if (count === 0) return;
    const { left, top } = frame.tracks[lane];
    const words = say("picture.more", { count });
    text(frame, words, left + 8, top + 14, frame.colours.muted, "left");
  }

  #forget(width) {
    this.#width = width;
    this.#rows.clear();
    this.#holders = [];
  }

  /**
   * The wait of one message: a bar from its beginning to its end.
   * @returns {{isCrowded: boolean, label?: any[]}|null} what is to be written beside it; null if
   *   there is no bar
   */
  #drawWait(frame, lane, entry, journal) {
    const from = waitBegin(entry);
    if (from === null || entry.lost[lane]) return null;
    const { context, colours } = frame;
    const came = entry.came[lane] ?? Infinity;
    const ended = came <= frame.now;
    const to = ended ? came : frame.now;
    if (to < from) return null;
    const row = this.#rowOf(frame, lane, entry, from);
    const { y } = row;
    const floor = frame.rung(lane);
    context.globalAlpha = (ended ? 0.9 : 0.55) * (row.crowded ? 0.4 : 1);
    context.strokeStyle = colours[lane];
    context.lineWidth = 3;
    const elsewhere = journal.isFromElsewhere(entry);
    context.setLineDash(elsewhere ? [3, 4] : []);
    stroke(context, frame.x(from), y, frame.x(to), y);
    context.setLineDash([]);
    context.lineWidth = 1;
    if (ended) stroke(context, frame.x(to), y, frame.x(to), floor);
    context.globalAlpha = 1;
    if (row.crowded) return { isCrowded: true };
    const label = (elsewhere ? "+" : "") + duration(to - from);
    const colour = ended ? colours[lane] : colours.muted;
    const fits = ended && frame.x(to) + LABEL_WIDTH + 6 < frame.tracks[lane].right;
    const place = fits ? [frame.x(to) + 5, y] : [frame.x(from) - 6, y];
    return { isCrowded: false, label: [label, ...place, colour, fits ? "left" : "right"] };
  }

  /** A row that is free where this event begins, or the crowded one; chosen once, then kept. */
  #rowOf(frame, lane, entry, from) {
    const known = this.#rows.get(entry.id);
    const track = frame.tracks[lane];
    const top = track.top + 14;
    const rows = Math.floor((frame.rung(lane) - top - 8) / ROW_HEIGHT);
    const places = Math.max(1, rows - CROWDED_ROWS);
    const at = (index) => top + Math.min(index, places) * ROW_HEIGHT;
    if (known) return { ...known, y: at(known.index) };
    const room = ((2 * LABEL_WIDTH) / track.width) * frame.span;
    let index = 0;
    while (index < places && isHeld(this.#holders[index], lane, from - room)) index++;
    const crowded = index === places;
    const row = { index, crowded };
    this.#rows.set(entry.id, row);
    if (!crowded) this.#holders[index] = entry;
    return { ...row, y: at(row.index) };
  }
}

/** Whether a row is still taken at a moment by the entry that waits, or waited, in it. */
function isHeld(holder, lane, moment) {
  if (!holder || holder.lost[lane]) return false;
  const came = holder.came[lane];
  if (came === undefined) return holder.firstSeen > moment - LONGEST_HOLD_MS;
  return came > moment;
}

/** When polling began to owe an event: when it was sent, or when another lane had it. */
function waitBegin(entry) {
  if (entry.sentAt !== null) return entry.sentAt;
  const others = Object.entries(entry.came).filter(([lane]) => lane !== "poll");
  return others.length > 0 ? Math.min(...others.map(([, at]) => at)) : null;
}

/** One request: hollow if nobody was at the door, filled if it brought news. */
function drawLook(frame, lane, look) {
  const { context, colours } = frame;
  const from = frame.x(look.askedAt);
  const to = frame.x(look.endedAt);
  const floor = frame.rung(lane);
  if (to < frame.tracks[lane].left - 10 || look.askedAt > frame.now) return;
  if (look.kind === "failed") {
    cross(context, to, floor, 4, colours.bad);
    return;
  }
  const radius = look.kind === "news" ? 5 : frame.lookRadius;
  context.beginPath();
  context.roundRect(from - radius, floor - radius, to - from + 2 * radius, 2 * radius, radius);
  context.fillStyle = look.kind === "news" ? colours[lane] : colours.surface;
  context.strokeStyle = colours[lane];
  context.lineWidth = 1.5;
  context.fill();
  context.stroke();
  if (look.brought > 1 && frame.lookRadius > 2) {
    text(frame, `×${look.brought}`, to, floor + 13, colours[lane], "center");
  }
}
