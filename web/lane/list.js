// lanes.js: the contenders, as data: what each is called, how it gets its messages and on whose
// clock its delays are. It runs nothing (contest.js does) and knows no figures.

/**
 * @typedef {object} Lane
 * @property {string} name short and lower case: in addresses, element ids and the server's words
 * @property {string} title as a heading
 * @property {string} inText as it stands inside a sentence
 * @property {string} what one line on how it gets its messages
 * @property {"asks"|"holds"|"rings"} way asks and is answered at once; asks and the answer is held
 *   back until there is news; is rung over a line that stays open
 * @property {"page"|"server"} clock where its delays are measured
 * @property {string} up what to say while all is well
 */

/** @type {readonly Lane[]} in the order of the page */
export const LANES = Object.freeze([
  {
    name: "poll",
    title: "Polling",
    inText: "polling",
    what: "a look every",
    way: "asks",
    clock: "page",
    up: "the server answers",
  },
  {
    name: "longpoll",
    title: "Long poll",
    inText: "long poll",
    what: "asks, then waits",
    way: "holds",
    clock: "page",
    up: "a question waits",
  },
  {
    name: "sse",
    title: "SSE",
    inText: "SSE",
    what: "an endless answer",
    way: "rings",
    clock: "page",
    up: "connected",
  },
  {
    name: "ws",
    title: "WebSocket",
    inText: "WebSocket",
    what: "one line, both ways",
    way: "rings",
    clock: "page",
    up: "connected",
  },
  {
    name: "tcp",
    title: "TCP",
    inText: "TCP",
    what: "lines, as nc reads",
    way: "rings",
    clock: "server",
    up: "connected",
  },
  {
    name: "udp",
    title: "UDP",
    inText: "UDP",
    what: "single datagrams",
    way: "rings",
    clock: "server",
    up: "subscribed",
  },
]);

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
