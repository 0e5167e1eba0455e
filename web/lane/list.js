// lane/list.js: the contenders, as data: which ways of receiving the page can run, what each is
// called, and on whose clock its delays are. It runs nothing (contest.js does) and knows no
// figures.

import { CONFIG } from "../config.js";

/**
 * @typedef {object} Lane
 * @property {string} name short and lower case: in addresses, element ids and the server's words
 * @property {"poll"|"longpoll"|"push"} family asks and is answered at once; asks and the answer is
 *   held back until there is news; is told over a line that stays open
 * @property {string} title as a heading
 * @property {string} inText as it stands inside a sentence
 * @property {string} what one line on how it gets its messages
 * @property {"page"|"server"} clock where its delays are measured
 * @property {string} up what to say while all is well
 */

/** What the page alone knows of the ways that it can run, in its order. */
const RUN_HERE = [
  { name: "poll", what: "a look every", clock: "page", up: "the server answers" },
  { name: "longpoll", what: "asks, then waits", clock: "page", up: "a question waits" },
  { name: "sse", what: "an endless answer", clock: "page", up: "connected" },
  { name: "ws", what: "one line, both ways", clock: "page", up: "connected" },
  { name: "tcp", what: "lines, as nc reads", clock: "server", up: "connected" },
  { name: "udp", what: "single datagrams", clock: "server", up: "subscribed" },
];

/** @type {readonly Lane[]} in the order of the page */
export const LANES = Object.freeze(RUN_HERE.map((lane) => {
  const { family, title } = CONFIG.transports.find(({ name }) => name === lane.name);
  // What is pushed is called by the name of a protocol, which keeps its capitals.
  return { ...lane, family, title, inText: family === "push" ? title : title.toLowerCase() };
}));

/** Their names, in the order of the page. */
export const LANE_NAMES = Object.freeze(LANES.map((lane) => lane.name));

/** What fits a narrow screen at a first visit: one of each kind. */
export const NARROW_CHOICE = Object.freeze(["poll", "longpoll", "ws", "tcp"]);

/**
 * The lane of a name.
 * @param {string} name
 * @returns {Lane}
 */
export function laneOf(name) {
  return LANES.find((lane) => lane.name === name);
}

/**
 * Whether a lane is run by the server side, over the lab.
 * @param {string} name
 * @returns {boolean}
 */
export function needsLab(name) {
  return laneOf(name).clock === "server";
}

/**
 * An object with one value for each lane.
 * @template T
 * @param {(lane: Lane) => T} make
 * @returns {Record<string, T>}
 */
export function forEachLane(make) {
  return Object.fromEntries(LANES.map((lane) => [lane.name, make(lane)]));
}
