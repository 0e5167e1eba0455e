// lab/connection_row.js: the columns of the table of connections: what each is called and which
// words of a row stand in it. It makes no elements.

import * as format from "../format.js";
import { laneOf } from "../lane/list.js";

/** Names of this page's connections that are no lanes. */
const OTHER_NAMES = { publish: "publishing", lab: "this table" };

/** @type {{key: string, title: string, show: (row: object) => string[]}[]} */
export const COLUMNS = [
  { key: "way", title: "Way", show: wayOf },
  { key: "ends", title: "Client, server", show: ({ peer, local }) => [text(peer), text(local)] },
  { key: "age", title: "Age", show: ({ age_s: age }) => [ageOf(age)] },
  { key: "reads", title: "Reads", show: ({ filter, place }) => [text(filter), text(place)] },
  { key: "behind", title: "Behind", show: ({ behind }) => [behindOf(behind)] },
  { key: "trip", title: "Round trip",
    show: ({ rtt_us: now, min_rtt_us: least }) => [trip(now), least === undefined ? ""
      : `least ${trip(least)}`] },
  { key: "bytes", title: "Bytes",
    show: (row) => pair(row.bytes_in, row.bytes_out, format.bytes) },
  { key: "segments", title: "Segments",
    show: (row) => pair(row.segments_in, row.segments_out, format.count) },
  { key: "wire", title: "On the wire",
    show: (row) => pair(row.wire_in, row.wire_out, format.bytes) },
];

/** Columns in which a change is news; ages and round trips change all the time. */
export const MARKED = new Set(["way", "reads", "bytes", "segments", "wire"]);

function wayOf({ via, lane }) {
  const name = lane === undefined ? "" : laneOf(lane)?.title ?? OTHER_NAMES[lane] ?? lane;
  return lane === undefined ? [text(via), ""] : [text(name), via === lane ? "" : text(via)];
}

function ageOf(seconds) {
  if (!Number.isFinite(seconds)) return "";
  if (seconds < 3600) return format.minutes(Math.floor(seconds));
  return `${Math.floor(seconds / 3600)}\u00a0h\u00a0${Math.floor(seconds / 60) % 60}\u00a0min`;
}

function behindOf(places) {
  if (places === undefined) return "";
  return places === 0 ? "waits for news" : `${format.count(places)} behind`;
}

function trip(microseconds) {
  return microseconds === undefined ? "" : format.duration(microseconds / 1000);
}

/** In and out as the server sees them: up is to the server, down is from it. */
function pair(up, down, show) {
  const arrow = (sign, value) => (value === undefined ? "" : `${sign}\u00a0${show(value)}`);
  return [arrow("↑", up), arrow("↓", down)];
}

function text(value) {
  return typeof value === "string" ? value.slice(0, 120) : "";
}
