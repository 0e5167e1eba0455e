// picture/picture.js: draws one frame of the timeline: the axis, what was published, and the lanes,
// each as its way of getting messages asks for. It only draws what it is given; timeline.js decides
// when.

import { stroke, text } from "./ink.js";
import { AskingPicture } from "./polling.js";
import { drawLine, drawRings } from "./push.js";
import { say } from "../words/say.js";

/** How long a published mark takes to fall through the lanes. */
const FALL_MS = 350;

/** Entries looked at in one frame, so that a flood of messages cannot stall the page. */
const DRAWN_AT_MOST = 800;

/** With more entries than this in view, marks get smaller and lines fainter. */
const DENSE_FROM = 60;

/** Room at the right of the moment that is now. */
const MARGIN = 12;

/**
 * @typedef {object} Frame
 * @property {CanvasRenderingContext2D} context
 * @property {import("../lane/list.js").Lane[]} lanes those in the picture, from the top
 * @property {Record<string, DOMRect>} tracks where each lane is drawn; also `time` and `axis`
 * @property {Record<string, string>} colours
 * @property {string} font
 * @property {number} now
 * @property {number} span milliseconds from the left edge to the right
 * @property {boolean} narrow whether words must be short
 * @property {boolean} still whether movement is unwelcome
 * @property {boolean} dense whether there is much to draw
 * @property {number} lookRadius
 * @property {(at: number) => number} x
 * @property {(lane: string) => number} rung the height of a lane's line
 */

/**
 * @typedef {object} Shown
 * @property {import("../journal.js").Journal} journal
 * @property {object[]} looks requests of the polling lane
 * @property {Record<string, import("./spans.js").Spans>} spans of the other lanes
 */

/** Draws frames. */
export class Picture {
  #asking = new AskingPicture();

  /**
   * Draws one frame.
   * @param {Frame} frame
   * @param {Shown} shown
   */
  draw(frame, { journal, looks, spans }) {
    const { context, tracks, lanes } = frame;
    const width = tracks.time.width - MARGIN;
    frame.x = (at) => tracks.time.right - MARGIN - ((frame.now - at) / frame.span) * width;
    frame.rung = (lane) => rungOf(lane, tracks[lane]);
    drawAxis(frame);
    context.save();
    context.beginPath();
    context.rect(tracks.time.left, 0, tracks.time.width, tracks.axis.bottom);
    context.clip();
    const entries = inView(frame, journal.entries);
    frame.dense = entries.length > DENSE_FROM;
    for (const entry of entries) drawFall(frame, entry);
    for (const { name, family } of lanes) {
      if (family === "poll") {
        this.#asking.draw(frame, name, entries, looks, journal);
      } else {
        drawLine(frame, name, spans[name].list, family === "longpoll");
        drawRings(frame, name, entries, journal);
      }
    }
    context.restore();
  }
}

/** The polling lane stands on its floor, for the waits are above it; a bell has words below. */
function rungOf(lane, track) {
  return lane === "poll" ? track.bottom - 22 : track.top + Math.min(track.height * 0.42, 30);
}

/** Entries that reach into the picture, oldest first. */
function inView(frame, entries) {
  const edge = frame.now - frame.span;
  const found = [];
  const last = Math.max(0, entries.length - DRAWN_AT_MOST);
  for (let at = entries.length - 1; at >= last; at--) {
    const entry = entries[at];
    if (entry.firstSeen > frame.now) continue;
    const latest = Math.max(entry.came.poll ?? frame.now, ...Object.values(entry.came));
    if (latest > edge) found.push(entry);
    else if (entry.firstSeen < edge - 2 * frame.span) break;
  }
  return found.reverse();
}

function drawAxis(frame) {
  const { context, tracks, colours, lanes } = frame;
  context.strokeStyle = colours.line;
  context.lineWidth = 1;
  for (const { name } of lanes) {
    const track = tracks[name];
    stroke(context, track.left, frame.rung(name), track.right, frame.rung(name));
  }
  const step = frame.span <= 35_000 ? 5 : 10;
  for (let ago = 0; ago * 1000 < frame.span; ago += step) {
    const x = frame.x(frame.now - ago * 1000);
    context.globalAlpha = ago === 0 ? 1 : 0.6;
    stroke(context, x, tracks.time.top, x, tracks.axis.top + 5);
    context.globalAlpha = 1;
    const past = say(frame.narrow ? "picture.short" : "picture.ago", { seconds: ago });
    const name = ago === 0 ? say("picture.now") : past;
    const side = ago === 0 ? "right" : "center";
    const edge = ago === 0 ? tracks.axis.right - 8 : x;
    if (edge - tracks.axis.left > 30) {
      text(frame, name, edge, tracks.axis.top + 15, colours.muted, side);
    }
  }
}

/** A published event: a mark at the top that falls through the lanes. */
function drawFall(frame, entry) {
  if (entry.sentAt === null || frame.lanes.length === 0) return;
  const { context, tracks, colours } = frame;
  const age = frame.now - entry.sentAt;
  const fallen = frame.still ? 1 : Math.min(1, Math.max(0, age / FALL_MS));
  const x = frame.x(entry.sentAt);
  const y = tracks.time.bottom - 12;
  const bottom = frame.rung(frame.lanes.at(-1).name);
  context.strokeStyle = colours.ink;
  context.globalAlpha = frame.dense ? 0.12 : 0.28;
  context.lineWidth = 1;
  stroke(context, x, y, x, y + (bottom - y) * fallen);
  context.globalAlpha = 1;
  context.fillStyle = colours.ink;
  context.beginPath();
  context.moveTo(x - 5, y - 8);
  context.lineTo(x + 5, y - 8);
  context.lineTo(x, y);
  context.fill();
}
