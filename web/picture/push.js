// picture/push.js: draws the lanes that are rung: the open line, or the questions that wait,
// and what came. Polling is polling.js's.

import { duration } from "../format.js";
import { cross, stroke, text } from "./ink.js";
import { say } from "../words/say.js";

/** Room for the figure below a dot, and for the word that stands there instead. */
const LABEL_WIDTH = 46;
const WORD_WIDTH = 64;

/** From the line to the middle of the words below it. */
const LABEL_BELOW = 17;

/**
 * The line while it is open. Where questions wait, each is a line of its own that begins with a
 * post, where the lane asked.
 * @param {import("./picture.js").Frame} frame
 * @param {string} lane
 * @param {import("./spans.js").Span[]} spans
 * @param {boolean} asks
 */
export function drawLine(frame, lane, spans, asks) {
  const { context, colours } = frame;
  const { left } = frame.tracks[lane];
  const y = frame.rung(lane);
  for (const { from, to, end } of spans) {
    const begin = frame.x(from);
    const finish = frame.x(Math.min(to ?? frame.now, frame.now));
    if (finish < left - 10 || from > frame.now) continue;
    context.strokeStyle = colours[lane];
    context.globalAlpha = 0.55;
    context.lineWidth = 2;
    context.setLineDash(asks ? [2, 3] : []);
    stroke(context, begin, y, finish, y);
    context.setLineDash([]);
    context.globalAlpha = 1;
    context.lineWidth = 1.5;
    if (asks) stroke(context, begin, y - 6, begin, y + 6);
    if (to === null || to > frame.now) continue;
    if (end === "empty") hollow(frame, finish, y, colours[lane]);
    if (end === "failed") cross(context, finish, y, 4, colours.bad);
  }
}

/**
 * What came: a dot, or a square if it was sent from elsewhere, with the delay below.
 * @param {import("./picture.js").Frame} frame
 * @param {string} lane
 * @param {import("../journal.js").Entry[]} entries
 * @param {import("../journal.js").Journal} journal
 */
export function drawRings(frame, lane, entries, journal) {
  const { context, colours } = frame;
  const y = frame.rung(lane);
  const { left, right } = frame.tracks[lane];
  let free = -Infinity;
  for (const entry of entries) {
    const came = entry.came[lane];
    if (came === undefined || came > frame.now) continue;
    const x = frame.x(came);
    context.fillStyle = context.strokeStyle = colours[lane];
    context.lineWidth = 3;
    if (entry.sentAt !== null) stroke(context, frame.x(entry.sentAt), y, x, y);
    context.beginPath();
    if (entry.sentAt !== null) context.arc(x, y, frame.dense ? 4 : 5.5, 0, 2 * Math.PI);
    else context.rect(x - 4.5, y - 4.5, 9, 9);
    context.fill();
    const delay = entry.delay[lane];
    if (x < Math.max(free, left + LABEL_WIDTH / 2)) continue;
    if (delay === undefined && !journal.isFromElsewhere(entry)) continue;
    const words = delay === undefined ? say("picture.elsewhere") : duration(delay);
    const inside = Math.min(x, right - LABEL_WIDTH / 2);
    text(frame, words, inside, y + LABEL_BELOW, colours[lane], "center");
    free = x + (delay === undefined ? WORD_WIDTH : LABEL_WIDTH);
  }
}

function hollow({ context, colours }, x, y, colour) {
  context.beginPath();
  context.arc(x, y, 4, 0, 2 * Math.PI);
  context.fillStyle = colours.surface;
  context.strokeStyle = colour;
  context.fill();
  context.stroke();
}
