// lane/status.js: says in words how each lane is connected, what it has lost, and how the last
// event came. It shows state; it keeps none that matters.

import { duration } from "../format.js";
import { LANES, laneOf } from "./list.js";

/** The words beside a lane's name. */
export class LaneStatus {
  #element;
  #lane;
  #say;
  #state = { kind: "connecting" };
  #spoken = "";

  /**
   * @param {HTMLElement} element
   * @param {import("./list.js").Lane} lane
   * @param {(text: string) => void} say
   */
  constructor(element, lane, say) {
    this.#element = element;
    this.#lane = lane;
    this.#say = say;
    this.#write();
  }

  /**
   * Takes a new state in.
   * @param {{kind: "connecting"|"up"|"waiting"|"down", why?: string, retryAt?: number,
   *   more?: string}} state
   */
  show(state) {
    const trouble = this.#spoken !== "";
    this.#state = state;
    this.#write();
    if (state.kind === "waiting" || state.kind === "down") {
      this.#speak(`not connected, ${state.why}`);
    } else if (state.kind === "up") {
      if (trouble) this.#speak(`${this.#lane.up} again`);
      this.#spoken = "";
    }
  }

  /** Counts down to the next attempt. */
  tick() {
    if (this.#state.kind === "waiting") this.#write();
  }

  #speak(text) {
    if (text === this.#spoken) return;
    this.#spoken = text;
    this.#say(`${this.#lane.title}: ${text}`);
  }

  #write() {
    const text = wordsOf(this.#state, this.#lane.up);
    if (this.#element.textContent !== text) this.#element.textContent = text;
    this.#element.dataset.kind = this.#state.kind;
  }
}

function wordsOf({ kind, why, retryAt, more }, upText) {
  if (kind === "up") return more ? `${upText} ${more}` : upText;
  if (kind === "connecting") return "connecting…";
  if (kind === "down") return `not connected: ${why}`;
  const seconds = Math.max(0, Math.ceil((retryAt - performance.now()) / 1000));
  return `not connected: ${why}; reconnecting in ${seconds} s`;
}

/**
 * Shows that messages are gone for good, as the server told it: one line for each lane.
 * @param {HTMLElement} place
 * @param {string} lane
 * @param {{reason?: string}} gap
 * @returns {string} the words shown
 */
export function showGap(place, lane, gap) {
  const reason = { expired: "they are too old", foreign: "the log is a new one" }[gap.reason];
  const because = reason ?? String(gap.reason ?? "no reason given").slice(0, 80);
  const clock = new Date().toLocaleTimeString([], { hour12: false });
  const line = place.querySelector(`[data-lane="${lane}"]`) ?? document.createElement("p");
  line.dataset.lane = lane;
  line.textContent =
    `${clock}: ${laneOf(lane).title} met a gap: some messages are no longer held by the server ` +
    `(${because}). It says so, instead of skipping them silently.`;
  place.append(line);
  place.hidden = false;
  return line.textContent;
}

/**
 * Tells under the picture how the last event of this page came, on this page's clock.
 * @param {HTMLElement} place
 * @param {import("../journal.js").Entry} entry
 * @param {string[]} lanes those in the picture
 */
export function showLastEvent(place, entry, lanes) {
  const here = LANES.filter(({ name, clock }) => clock === "page" && lanes.includes(name));
  const bells = here.filter(({ family }) => family !== "poll");
  const rung = bells.filter(({ name }) => entry.delay[name] !== undefined);
  rung.sort((one, other) => entry.delay[one.name] - entry.delay[other.name]);
  const times = rung.map(({ name, title, inText }, at) =>
    `${at === 0 ? `${title} rang after` : inText} ${duration(entry.delay[name])}`);
  const words = [];
  if (bells.length > 0) words.push(times.join(", ") || "the bell has not rung yet");
  if (lanes.includes("poll")) {
    const delay = entry.delay.poll;
    words.push(delay === undefined
      ? "polling has yet to look"
      : `polling found them after ${duration(delay)}`);
  }
  if (words.length > 0) place.textContent = `Last visitor: ${words.join("; ")}.`;
}
