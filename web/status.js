// status.js: says in words how each lane is connected, what it has lost, and how the last event
// came. It shows state; it keeps none that matters.

import { duration } from "./format.js";

/** The words beside a lane's name. */
export class LaneStatus {
  #element;
  #name;
  #say;
  #upText;
  #state = { kind: "connecting" };
  #spoken = "";

  /**
   * @param {HTMLElement} element
   * @param {string} name of the lane
   * @param {string} upText what to say while all is well
   * @param {(text: string) => void} say
   */
  constructor(element, name, upText, say) {
    this.#element = element;
    this.#name = name;
    this.#upText = upText;
    this.#say = say;
    this.#write();
  }

  /**
   * Takes a new state in.
   * @param {{kind: "connecting"|"up"|"waiting"|"down", why?: string, retryAt?: number}} state
   */
  show(state) {
    const trouble = this.#spoken !== "";
    this.#state = state;
    this.#write();
    if (state.kind === "waiting" || state.kind === "down") {
      this.#speak(`not connected, ${state.why}`);
    } else if (state.kind === "up") {
      if (trouble) this.#speak(`${this.#upText} again`);
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
    this.#say(`${this.#name}: ${text}`);
  }

  #write() {
    const text = wordsOf(this.#state, this.#upText);
    if (this.#element.textContent !== text) this.#element.textContent = text;
    this.#element.dataset.kind = this.#state.kind;
  }
}

function wordsOf({ kind, why, retryAt }, upText) {
  if (kind === "up") return upText;
  if (kind === "connecting") return "connecting…";
  if (kind === "down") return `not connected: ${why}`;
  const seconds = Math.max(0, Math.ceil((retryAt - performance.now()) / 1000));
  return `not connected: ${why}; reconnecting in ${seconds} s`;
}

/**
 * Shows that messages are gone for good, as the server told it: one line for each lane.
 * @param {HTMLElement} place
 * @param {"poll"|"push"} lane
 * @param {{reason?: string}} gap
 * @returns {string} the words shown
 */
export function showGap(place, lane, gap) {
  const name = lane === "poll" ? "Polling" : "Push";
  const reason = { expired: "they are too old", foreign: "the log is a new one" }[gap.reason];
  const because = reason ?? String(gap.reason ?? "no reason given").slice(0, 80);
  const clock = new Date().toLocaleTimeString([], { hour12: false });
  const line = place.querySelector(`[data-lane="${lane}"]`) ?? document.createElement("p");
  line.dataset.lane = lane;
  line.textContent =
    `${clock}: ${name} met a gap: some messages are no longer held by the server (${because}). ` +
    "It says so, instead of skipping them silently.";
  place.append(line);
  place.hidden = false;
  return line.textContent;
}

/**
 * Tells under the picture how the last event of this page came.
 * @param {HTMLElement} place
 * @param {import("./journal.js").Entry} entry
 */
export function showLastEvent(place, entry) {
  const { sentAt, push, poll } = entry;
  const rang = push === null
    ? "the bell has not rung yet"
    : `the bell rang after ${duration(push - sentAt)}`;
  const found = poll === null
    ? "polling has yet to look"
    : `polling found them after ${duration(poll - sentAt)}`;
  place.textContent = `Last visitor: ${rang}; ${found}.`;
}
