// settings.js: what this page was asked to show: topic, lanes, interval, rate, demo stream or none.
// They come from the address (`/TOPIC?lanes=poll,ws&interval=1&rate=0.5&demo=off`) and go back into
// it when they change; lanes and demo switch are remembered. Nothing here touches the network.

import { LANE_NAMES, NARROW_CHOICE } from "./lane/list.js";
import { ROOT } from "./net.js";

/** The stops of the interval slider, in seconds. */
export const INTERVALS = [0.25, 0.5, 1, 2, 3, 5, 10, 15, 20, 30, 60];

/** The stops of the rate slider, in events per second. */
export const RATES = [0.1, 0.25, 0.5, 1, 2, 3, 5];

const DEFAULT_TOPIC = "demo";
const DEFAULT_INTERVAL = 5;
const DEFAULT_RATE = 0.25;
const TOPIC_BYTES = 128;
const TOPIC_FORM = /^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$/;
const DEMO_MEMORY = "doorbell.demo";
const LANES_MEMORY = "doorbell.lanes";

/** As in style.css: labels stand above their lanes. */
const NARROW = "(max-width: 47rem)";

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
 * @returns {{topic: string, lanes: string[], interval: number, rate: number, demo: boolean}}
 */
export function readSettings() {
  const asked = new URLSearchParams(location.search);
  return {
    topic: topicInPath(),
    lanes: lanesIn(asked.get("lanes")) ?? lanesIn(remembered(LANES_MEMORY)) ?? firstLanes(),
    interval: nearest(INTERVALS, asked.get("interval"), DEFAULT_INTERVAL),
    rate: nearest(RATES, asked.get("rate"), DEFAULT_RATE),
    demo: asked.has("demo") ? asked.get("demo") !== "off" : remembered(DEMO_MEMORY) !== "off",
  };
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
 * @param {string|number} value
 */
export function putIntoAddress(name, value) {
  const address = new URL(location.href);
  address.searchParams.set(name, String(value));
  address.search = address.search.replaceAll("%2C", ",");
  history.replaceState(history.state, "", address);
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

function firstLanes() {
  return [...(matchMedia(NARROW).matches ? NARROW_CHOICE : LANE_NAMES)];
}

function topicInPath() {
  const name = location.pathname.slice(ROOT.length);
  return isTopic(name) ? name : DEFAULT_TOPIC;
}

function nearest(steps, text, otherwise) {
  const wanted = Number.parseFloat(text ?? "");
  if (!(wanted > 0)) return otherwise;
  const distance = (step) => Math.abs(Math.log(step / wanted));
  return steps.reduce((best, step) => (distance(step) < distance(best) ? step : best));
}
