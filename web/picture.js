// picture.js: draws one frame of the timeline: what was published, when polling looked and what
// it found, when push delivered. It only draws what it is given; timeline.js decides when.

import { duration } from "./format.js";

/** How long a published mark takes to fall through the lanes. */
const FALL_MS = 350;

/** Entries looked at in one frame, so that a flood of messages cannot stall the page. */
const DRAWN_AT_MOST = 800;

/** With more entries than this in view, marks get smaller and lines fainter. */
const DENSE_FROM = 60;

/** Rows of the polling lane in which events wait without covering each other. */
const ROW_HEIGHT = 15;

/** A row is taken back after this long, even if polling never brings its event. */
const LONGEST_HOLD_MS = 90_000;

/** Room kept beside a waiting bar for its figure. */
const LABEL_WIDTH = 46;

/**
 * @typedef {object} Frame
 * @property {CanvasRenderingContext2D} context
 * @property {{time: DOMRect, poll: DOMRect, push: DOMRect, axis: DOMRect}} tracks
 * @property {Record<string, string>} colours
 * @property {number} now
 * @property {number} span milliseconds from the left edge to the right
 * @property {boolean} narrow whether words must be short
 * @property {boolean} still whether movement is unwelcome
 */

/** Draws frames, and remembers in which row of the polling lane each event waits. */
export class Picture {
  #rows = new Map();
  #holders = [];

  /**
   * Draws one frame.
   * @param {Frame} frame
   * @param {import("./journal.js").Journal} journal
   * @param {{kind: string, askedAt: number, endedAt: number}[]} looks
   */
  draw(frame, journal, looks) {
    const { context, tracks } = frame;
    frame.x = (at) => tracks.time.right - 12 - ((frame.now - at) / frame.span) * width(tracks);
    frame.floor = tracks.poll.bottom - 22;
    frame.rung = tracks.push.top + tracks.push.height / 2;
    drawAxis(frame);
    context.save();
    context.beginPath();
    context.rect(tracks.time.left, 0, tracks.time.width, tracks.axis.bottom);
    context.clip();
    const entries = this.#inView(frame, journal.entries);
    frame.dense = entries.length > DENSE_FROM;
    for (const entry of entries) drawFall(frame, entry);
    for (const entry of entries) this.#drawWait(frame, entry, journal);
    for (const look of looks) drawLook(frame, look);
    drawRings(frame, entries, journal);
    context.restore();
  }

  /** Entries that reach into the picture, oldest first. */
  #inView(frame, entries) {
    const edge = frame.now - frame.span;
    const found = [];
    const last = Math.max(0, entries.length - DRAWN_AT_MOST);
    for (let at = entries.length - 1; at >= last; at--) {
      const entry = entries[at];
      if (entry.firstSeen > frame.now) continue;
      if ((entry.poll ?? frame.now) > edge || (entry.push ?? edge) > edge) found.push(entry);
      else if (entry.firstSeen < edge - 2 * frame.span) break;
    }
    if (this.#rows.size > 4 * DRAWN_AT_MOST) this.#rows.clear();
    return found.reverse();
  }

  /** The wait of one event in the polling lane: a bar from its beginning to its end. */
  #drawWait(frame, entry, journal) {
    const from = waitBegin(entry);
    if (from === null || entry.lost.poll) return;
    const { context, colours } = frame;
    const ended = entry.poll !== null && entry.poll <= frame.now;
    const to = ended ? entry.poll : frame.now;
    if (to < from) return;
    const row = this.#rowOf(frame, entry, from);
    const y = row.y;
    context.globalAlpha = (ended ? 0.9 : 0.55) * (row.crowded ? 0.4 : 1);
    context.strokeStyle = colours.poll;
    context.lineWidth = row.crowded ? 1 : 3;
    context.setLineDash(journal.isFromElsewhere(entry) ? [3, 4] : []);
    stroke(context, frame.x(from), y, frame.x(to), y);
    context.setLineDash([]);
    context.lineWidth = 1;
    if (ended) stroke(context, frame.x(to), y, frame.x(to), frame.floor);
    context.globalAlpha = 1;
    if (row.crowded) return;
    const sign = journal.isFromElsewhere(entry) ? "+" : "";
    const label = sign + duration(to - from);
    const colour = ended ? colours.poll : colours.muted;
    const fits = ended && frame.x(to) + LABEL_WIDTH + 6 < frame.tracks.poll.right;
    if (fits) text(frame, label, frame.x(to) + 5, y, colour, "left");
    else text(frame, label, frame.x(from) - 6, y, colour, "right");
  }

  /** A row that is free where this event begins; chosen once, then kept. */
  #rowOf(frame, entry, from) {
    const known = this.#rows.get(entry.id);
    const top = frame.tracks.poll.top + 14;
    const places = Math.max(1, Math.floor((frame.floor - top - 8) / ROW_HEIGHT));
    const at = (index) => top + (index % places) * ROW_HEIGHT;
    if (known) return { ...known, y: at(known.index) };
    const room = ((2 * LABEL_WIDTH) / width(frame.tracks)) * frame.span;
    let index = 0;
    while (index < places && isHeld(this.#holders[index], from - room)) index++;
    const crowded = index === places;
    const row = { index: crowded ? this.#rows.size % places : index, crowded };
    this.#rows.set(entry.id, row);
    if (!crowded) this.#holders[index] = entry;
    return { ...row, y: at(row.index) };
  }
}

/** Whether a row is still taken at a moment by the entry that waits, or waited, in it. */
function isHeld(holder, moment) {
  if (!holder || holder.lost.poll) return false;
  if (holder.poll === null) return holder.firstSeen > moment - LONGEST_HOLD_MS;
  return holder.poll > moment;
}

/** When the polling lane began to owe an event: when it was sent, or when push had it. */
function waitBegin(entry) {
  return entry.sentAt ?? entry.push;
}

function drawAxis(frame) {
  const { context, tracks, colours } = frame;
  context.strokeStyle = colours.line;
  context.lineWidth = 1;
  stroke(context, tracks.poll.left, frame.floor, tracks.poll.right, frame.floor);
  stroke(context, tracks.push.left, frame.rung, tracks.push.right, frame.rung);
  const step = frame.span <= 35_000 ? 5 : 10;
  for (let ago = 0; ago * 1000 < frame.span; ago += step) {
    const x = frame.x(frame.now - ago * 1000);
    context.globalAlpha = ago === 0 ? 1 : 0.6;
    stroke(context, x, tracks.time.top, x, tracks.axis.top + 5);
    context.globalAlpha = 1;
    const name = ago === 0 ? "now" : `${ago} s${frame.narrow ? "" : " ago"}`;
    const side = ago === 0 ? "right" : "center";
    const edge = ago === 0 ? tracks.axis.right - 8 : x;
    if (edge - tracks.axis.left > 30) {
      text(frame, name, edge, tracks.axis.top + 15, colours.muted, side);
    }
  }
}

/** A published event: a mark at the top that falls through both lanes. */
function drawFall(frame, entry) {
  if (entry.sentAt === null) return;
  const { context, tracks, colours } = frame;
  const age = frame.now - entry.sentAt;
  const fallen = frame.still ? 1 : Math.min(1, Math.max(0, age / FALL_MS));
  const x = frame.x(entry.sentAt);
  const y = tracks.time.bottom - 12;
  context.strokeStyle = colours.ink;
  context.globalAlpha = frame.dense ? 0.15 : 0.35;
  context.lineWidth = 1;
  stroke(context, x, y, x, y + (frame.rung - y) * fallen);
  context.globalAlpha = 1;
  context.fillStyle = colours.ink;
  context.beginPath();
  context.moveTo(x - 5, y - 8);
  context.lineTo(x + 5, y - 8);
  context.lineTo(x, y);
  context.fill();
}

/** One request: hollow if nobody was at the door, filled if it brought news. */
function drawLook(frame, look) {
  const { context, colours } = frame;
  const from = frame.x(look.askedAt);
  const to = frame.x(look.endedAt);
  if (to < frame.tracks.poll.left - 10 || look.askedAt > frame.now) return;
  const radius = look.kind === "news" ? 5 : frame.lookRadius;
  context.beginPath();
  if (look.kind === "failed") {
    drawCross(context, to, frame.floor, 4, colours.bad);
    return;
  }
  const long = to - from + 2 * radius;
  context.roundRect(from - radius, frame.floor - radius, long, 2 * radius, radius);
  context.fillStyle = look.kind === "news" ? colours.poll : colours.surface;
  context.strokeStyle = colours.poll;
  context.lineWidth = 1.5;
  context.fill();
  context.stroke();
  if (look.brought > 1 && frame.lookRadius > 2) {
    text(frame, `×${look.brought}`, to, frame.floor + 13, colours.poll, "center");
  }
}

/** What push delivered: a dot, or a square if it came from elsewhere, with the delay below. */
function drawRings(frame, entries, journal) {
  const { context, colours } = frame;
  let free = -Infinity;
  for (const entry of entries) {
    if (entry.push === null || entry.push > frame.now) continue;
    const x = frame.x(entry.push);
    context.fillStyle = colours.push;
    context.strokeStyle = colours.push;
    context.lineWidth = 3;
    context.beginPath();
    if (entry.sentAt !== null) {
      stroke(context, frame.x(entry.sentAt), frame.rung, x, frame.rung);
      context.beginPath();
      context.arc(x, frame.rung, frame.dense ? 4 : 6, 0, 2 * Math.PI);
    } else {
      context.rect(x - 5, frame.rung - 5, 10, 10);
    }
    context.fill();
    if (x < free || (entry.sentAt === null && !journal.isFromElsewhere(entry))) continue;
    const label = entry.sentAt === null ? "elsewhere" : duration(entry.push - entry.sentAt);
    const inside = Math.min(x, frame.tracks.push.right - LABEL_WIDTH / 2);
    text(frame, label, inside, frame.rung + 20, colours.push, "center");
    free = x + (entry.sentAt === null ? 64 : LABEL_WIDTH);
  }
}

function drawCross(context, x, y, size, colour) {
  context.strokeStyle = colour;
  context.lineWidth = 2;
  stroke(context, x - size, y - size, x + size, y + size);
  stroke(context, x - size, y + size, x + size, y - size);
}

function stroke(context, fromX, fromY, toX, toY) {
  context.beginPath();
  context.moveTo(fromX, fromY);
  context.lineTo(toX, toY);
  context.stroke();
}

/** Text with a rim in the colour of the ground, so that lines behind it do not hurt it. */
function text(frame, words, x, y, colour, side) {
  const { context, colours } = frame;
  context.save();
  context.font = frame.font;
  context.textAlign = side;
  context.textBaseline = "middle";
  context.lineWidth = 3;
  context.lineJoin = "round";
  context.strokeStyle = colours.surface;
  context.strokeText(words, x, y);
  context.fillStyle = colour;
  context.fillText(words, x, y);
  context.restore();
}

function width(tracks) {
  return tracks.time.width - 12;
}
