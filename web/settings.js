// settings.js: what this page was asked to show: topic, lanes, interval, rate, demo stream or none.
// They come from the address (`/TOPIC?lanes=poll,ws&interval=1&rate=0.5&demo=off`, or
// `/lab?topic=TOPIC&…`) and go back into it when they change; lanes and demo switch are
// remembered. Nothing here touches the network.

import { FIRST_CHOICE, LANE_NAMES } from "./lane/list.js";
import { ROOT } from "./net.js";
import { NETWORKS } from "./network.js";

/** The stops of the interval slider, in seconds. */
export const INTERVALS = [0.25, 0.5, 1, 2, 3, 5, 10, 15, 20, 30, 60];

/** The stops of the rate slider, in events per second. */
export const RATES = [0.1, 0.25, 0.5, 1, 2, 3, 5];

const LABORATORY = "lab";
const DEFAULT_TOPIC = "demo";
const DEFAULT_INTERVAL = 3;
const DEFAULT_RATE = 0.25;
const TOPIC_BYTES = 128;
const TOPIC_FORM = /^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$/;
const DEMO_MEMORY = "doorbell.demo";
const LANES_MEMORY = "doorbell.lanes";

/**
 * Whether a text is the name of one topic, not a pattern or a list.
 * @param {string} text
 * @returns {boolean}
 */
export function isTopic(text) {
  return text.length <= TOPIC_BYTES && TOPIC_FORM.test(text);
}

/**
 * Reads the settings from the address of the page.
 * @returns {{topic: string, asked: string[], lanes: string[], interval: number, rate: number,
 *   network: string, demo: boolean, isSilent: boolean}} `asked` are the lanes that the address
 *   names; silent is a page whose address says that nothing is to be published by itself
 */
export function readSettings() {
  const asked = new URLSearchParams(location.search);
  const lanes = lanesIn(asked.get("lanes"));
  return {
    topic: topicIn(asked),
    asked: lanes ?? [],
    lanes: lanes ?? lanesIn(remembered(LANES_MEMORY)) ?? [...FIRST_CHOICE],
    interval: nearest(INTERVALS, asked.get("interval"), DEFAULT_INTERVAL),
    rate: nearest(RATES, asked.get("rate"), DEFAULT_RATE),
    network: (NETWORKS.find(({ name }) => name === asked.get("network")) ?? NETWORKS[0]).name,
    isSilent: asked.get("demo") === "off",
    demo: asked.has("demo") ? asked.get("demo") !== "off" : remembered(DEMO_MEMORY) !== "off",
  };
}

/**
 * The address of a topic's laboratory, with the settings of this page.
 * @param {string} topic
 * @returns {string}
 */
export function laboratoryOf(topic) {
  return addressWith(LABORATORY, { topic: topic === DEFAULT_TOPIC ? null : topic });
}

/**
 * The address of a topic's first view, with the settings of this page.
 * @param {string} topic
 * @returns {string}
 */
export function firstViewOf(topic) {
  return addressWith(topic === DEFAULT_TOPIC ? "" : topic, { topic: null });
}

/**
 * A link to a topic's first view that shows it as this page does, also where nothing was moved.
 * @param {string} topic
 * @returns {string}
 */
export function linkTo(topic) {
  const { interval } = readSettings();
  return addressWith(topic === DEFAULT_TOPIC ? "" : topic, { topic: null, interval });
}

/**
 * Remembers the demo switch for the next visit, where the browser allows it.
 * @param {boolean} on
 */
export function rememberDemo(on) {
  remember(DEMO_MEMORY, on ? "on" : "off");
}

/**
 * Remembers the choice of lanes for the next visit, and puts it into the address.
 * @param {string[]} names
 */
export function rememberLanes(names) {
  remember(LANES_MEMORY, names.join(","));
  putIntoAddress("lanes", names.join(","));
}

/**
 * Puts a setting into the address, so that the address shows what the page shows.
 * @param {string} name
 * @param {string|number|null} value null takes it out
 */
export function putIntoAddress(name, value) {
  const page = location.pathname.slice(ROOT.length);
  history.replaceState(history.state, "", addressWith(page, { [name]: value }) + location.hash);
}

/** A page of this server with the settings of this one, and some changed; null takes one out. */
function addressWith(page, changed) {
  const address = new URL(`${ROOT}${page}${location.search}`, location.href);
  for (const [name, value] of Object.entries(changed)) {
    if (value === null) address.searchParams.delete(name);
    else address.searchParams.set(name, String(value));
  }
  return address.href.replaceAll("%2C", ",");
}

function remember(key, value) {
  try {
    localStorage.setItem(key, value);
  } catch {
    // Storage may be switched off; then the next visit begins as the first one did.
  }
}

function remembered(key) {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

/** The lanes that a list names, in the order of the page; null if it names none. */
function lanesIn(list) {
  const asked = (list ?? "").split(",").map((name) => name.trim());
  const named = LANE_NAMES.filter((name) => asked.includes(name));
  return named.length > 0 ? named : null;
}

/** The laboratory has one address, so there the topic is a parameter of it. */
function topicIn(asked) {
  const page = location.pathname.slice(ROOT.length);
  const name = page === LABORATORY ? asked.get("topic") ?? "" : page;
  return isTopic(name) ? name : DEFAULT_TOPIC;
}

function nearest(steps, text, otherwise) {
  const wanted = Number.parseFloat(text ?? "");
  if (!(wanted > 0)) return otherwise;
  const distance = (step) => Math.abs(Math.log(step / wanted));
  return steps.reduce((best, step) => (distance(step) < distance(best) ? step : best));
}
