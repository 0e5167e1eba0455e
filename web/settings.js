// settings.js: what this page was asked to show: topic, interval, rate, demo stream on or off.
// They come from the address (`/TOPIC?interval=1&rate=0.5&demo=off`); only the demo switch is
// remembered between visits. Nothing here touches the network.

/** The stops of the interval slider, in seconds. */
export const INTERVALS = [0.25, 0.5, 1, 2, 3, 5, 10, 15, 20, 30, 60];

/** The stops of the rate slider, in events per second. */
export const RATES = [0.1, 0.25, 0.5, 1, 2, 3, 5];

const DEFAULT_TOPIC = "demo";
const DEFAULT_INTERVAL = 5;
const DEFAULT_RATE = 0.25;
const TOPIC_BYTES = 128;
const TOPIC_FORM = /^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$/;
const MEMORY = "doorbell.demo";

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
 * @returns {{topic: string, interval: number, rate: number, demo: boolean}}
 */
export function readSettings() {
  const asked = new URLSearchParams(location.search);
  return {
    topic: topicInPath(),
    interval: nearest(INTERVALS, asked.get("interval"), DEFAULT_INTERVAL),
    rate: nearest(RATES, asked.get("rate"), DEFAULT_RATE),
    demo: asked.has("demo") ? asked.get("demo") !== "off" : remembered() !== "off",
  };
}

/**
 * Remembers the demo switch for the next visit, where the browser allows it.
 * @param {boolean} on
 */
export function rememberDemo(on) {
  try {
    localStorage.setItem(MEMORY, on ? "on" : "off");
  } catch {
    // Storage may be switched off; then the next visit begins as the first one did.
  }
}

function remembered() {
  try {
    return localStorage.getItem(MEMORY);
  } catch {
    return null;
  }
}

function topicInPath() {
  const name = location.pathname.slice(1);
  return isTopic(name) ? name : DEFAULT_TOPIC;
}

function nearest(steps, text, otherwise) {
  const wanted = Number.parseFloat(text ?? "");
  if (!(wanted > 0)) return otherwise;
  const distance = (step) => Math.abs(Math.log(step / wanted));
  return steps.reduce((best, step) => (distance(step) < distance(best) ? step : best));
}
