// app/scheduled.js: the messages that wait for their time, shown instead of those that have come
// while somebody wants it so. The server knows them; nothing of them is kept here.

import { find } from "../elements.js";
import { note } from "./asking.js";
import { fetchScheduled } from "./history.js";
import { keyOf } from "./series.js";

/** The list, and the button that shows it. */
export class Scheduled {
  #filters;
  #changed;
  #shown = false;
  /** @type {import("./inbox.js").Message[]} */
  #list = [];

  /**
   * @param {() => string[]} filters of which messages are wanted
   * @param {() => void} changed
   */
  constructor(filters, changed) {
    this.#filters = filters;
    this.#changed = changed;
    find("scheduled-button").addEventListener("click", () => this.#turn(!this.#shown));
  }

  /** @returns {boolean} */
  get isShown() {
    return this.#shown;
  }

  /** @returns {import("./inbox.js").Message[]} the next first, without those whose time has come */
  get list() {
    return this.#list.filter(({ event }) => event.time * 1000 > Date.now() - 1000);
  }

  /** Shows what has come again. */
  hide() {
    if (this.#shown) this.#turn(false);
  }

  /** Asks the server again, if anybody sees it. */
  fetchIfShown() {
    if (this.#shown) this.#fetch();
  }

  #turn(shown) {
    this.#shown = shown;
    this.#list = [];
    find("scheduled-button").setAttribute("aria-pressed", String(shown));
    this.#changed();
    this.fetchIfShown();
  }

  async #fetch() {
    try {
      const events = await fetchScheduled(this.#filters().join(","));
      this.#list = events.map((event) => ({
        key: `waiting ${keyOf(event)}`,
        event,
        unread: false,
        isWaiting: true,
      }));
    } catch (error) {
      note(error.message);
    }
    this.#changed();
  }
}
