// lane/status.js: says in words how each lane is connected, what it has lost, and how the last
// event came. It shows state; it keeps none that matters.

import { duration } from "../format.js";
import { LANES, laneOf } from "./list.js";
import { say } from "../words/say.js";

/** The words beside a lane's name. */
export class LaneStatus {
  #element;
  #lane;
  #announce;
  #state = { kind: "connecting" };
  #spoken = "";

  /**
   * @param {HTMLElement} element
   * @param {import("./list.js").Lane} lane
   * @param {(text: string) => void} announce
   */
  constructor(element, lane, announce) {
    this.#element = element;
    this.#lane = lane;
    this.#announce = announce;
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
      this.#speak(say("lane.lost", { why: state.why }));
    } else if (state.kind === "up") {
      if (trouble) this.#speak(say("lane.again", { up: this.#lane.up }));
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
    this.#announce(say("lane.spoken", { lane: this.#lane.title, state: text }));
  }

  #write() {
    const text = wordsOf(this.#state, this.#lane.up);
    if (this.#element.textContent !== text) this.#element.textContent = text;
    this.#element.dataset.kind = this.#state.kind;
  }
}

function wordsOf({ kind, why, retryAt, more }, upText) {
  if (kind === "up") return more ? say("lane.up", { up: upText, more }) : upText;
  if (kind === "connecting") return say("lane.connecting");
  if (kind === "down") return say("lane.down", { why });
  const seconds = Math.max(0, Math.ceil((retryAt - performance.now()) / 1000));
  return say("lane.waiting", { why, seconds });
}

/**
 * Shows that messages are gone for good, as the server told it: one line for each lane.
 * @param {HTMLElement} place
 * @param {string} lane
 * @param {{reason?: string}} gap
 * @returns {string} the words shown
 */
export function showGap(place, lane, gap) {
  const known = ["expired", "foreign"].includes(gap.reason) ? say(`lane.${gap.reason}`) : null;
  const why = known ?? String(gap.reason ?? say("lane.noreason")).slice(0, 80);
  const time = new Date().toLocaleTimeString([], { hour12: false });
  const line = place.querySelector(`[data-lane="${lane}"]`) ?? document.createElement("p");
  line.dataset.lane = lane;
  line.textContent = say("lane.gap", { time, lane: laneOf(lane).title, why });
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
  // Of a message from elsewhere this page knows no moment of sending.
  if (entry.sentAt === null) return;
  const here = LANES.filter(({ name, clock }) => clock === "page" && lanes.includes(name));
  const bells = here.filter(({ family }) => family !== "poll");
  const rung = bells.filter(({ name }) => entry.delay[name] !== undefined);
  rung.sort((one, other) => entry.delay[one.name] - entry.delay[other.name]);
  const times = rung.map(({ name, title, inText }, at) => {
    const delay = duration(entry.delay[name]);
    if (at === 0) return say("lane.pushed", { lane: title, delay });
    return say("lane.also", { lane: inText, delay });
  });
  const words = [];
  if (bells.length > 0) words.push(times.join(say("lane.comma")) || say("lane.notyet"));
  if (lanes.includes("poll")) {
    const delay = entry.delay.poll;
    words.push(delay === undefined ? say("lane.toask")
      : say("lane.polled", { delay: duration(delay) }));
  }
  if (words.length > 0) place.textContent = say("lane.last", { words: words.join(say("lane.semicolon")) });
}
