// lane/list.js: the contenders, as data: which ways of receiving the page can run, what each is
// called, and on whose clock its delays are. It runs nothing (contest.js does) and knows no
// figures.

import { CONFIG } from "../config.js";
import { say } from "../words/say.js";

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
  { name: "poll", clock: "page" },
  { name: "longpoll", clock: "page" },
  { name: "sse", clock: "page" },
  { name: "ws", clock: "page" },
  { name: "tcp", clock: "server" },
  { name: "udp", clock: "server" },
];

/** @type {readonly Lane[]} in the order of the page */
export const LANES = Object.freeze(RUN_HERE.map((lane) => {
  const { family } = CONFIG.transports.find(({ name }) => name === lane.name);
  const word = (key) => say(`lanes.${lane.name}.${key}`);
  const names = { title: word("title"), inText: word("text") };
  return { ...lane, family, ...names, what: word("what"), up: word("up") };
}));

/** Their names, in the order of the page. */
export const LANE_NAMES = Object.freeze(LANES.map((lane) => lane.name));

/** What a first visit begins with: one of each family. */
export const FIRST_CHOICE = Object.freeze(["poll", "longpoll", "ws"]);

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
