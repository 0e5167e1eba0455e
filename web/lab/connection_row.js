// lab/connection_row.js: the columns of the table of connections: what each is called and which
// words of a row stand in it. It makes no elements.

import * as format from "../format.js";
import { laneOf } from "../lane/list.js";
import { say } from "../words/say.js";

/** This page's connections that are no lanes. */
const OTHERS = ["publish", "lab"];

/** Ways of connections that have no reader, by the key of what they do. */
const IDLE = { http: "resting", lab: "watching" };

/** @type {{key: string, title: string, show: (row: object) => string[]}[]} */
export const COLUMNS = [
  { key: "way", title: say("connections.way"), show: wayOf },
  { key: "ends", title: say("connections.ends"),
    show: ({ peer, local }) => [text(peer), text(local)] },
  { key: "age", title: say("connections.age"), show: ({ age_s: age }) => [ageOf(age)] },
  { key: "reads", title: say("connections.reads"),
    show: ({ filter, place }) => [text(filter), text(place)] },
  { key: "behind", title: say("connections.behind"), show: ({ behind }) => [behindOf(behind)] },
  { key: "trip", title: say("connections.trip"),
    show: ({ rtt_us: now, min_rtt_us: least }) => [trip(now), least === undefined ? ""
      : say("connections.least", { trip: trip(least) })] },
  { key: "bytes", title: say("connections.bytes"),
    show: (row) => pair(row.bytes_in, row.bytes_out, format.bytes) },
  { key: "segments", title: say("connections.segments"),
    show: (row) => pair(row.segments_in, row.segments_out, format.count) },
  { key: "wire", title: say("connections.wire"),
    show: (row) => pair(row.wire_in, row.wire_out, format.bytes) },
];

/** Columns in which a change is news; ages and round trips change all the time. */
export const MARKED = new Set(["way", "reads", "bytes", "segments", "wire"]);

function wayOf({ via, lane, isNear }) {
  if (lane !== undefined) return [text(nameOf(lane)), via === lane ? "" : text(via)];
  const what = IDLE[via] ?? (isNear ? "near" : null);
  return [text(via), what === null ? "" : say(`connections.${what}`)];
}

function nameOf(lane) {
  return laneOf(lane)?.title ?? (OTHERS.includes(lane) ? say(`connections.${lane}`) : lane);
}

function ageOf(seconds) {
  if (!Number.isFinite(seconds)) return "";
  if (seconds < 3600) return format.minutes(Math.floor(seconds));
  return `${Math.floor(seconds / 3600)}\u00a0h\u00a0${Math.floor(seconds / 60) % 60}\u00a0min`;
}

function behindOf(places) {
  if (places === undefined) return "";
  if (places === 0) return say("connections.waits");
  return say("connections.places", { count: format.count(places) });
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
