// app/search.js: the words that are looked for in what is held. All of them must be in a message,
// in its title, text, tags or topic.

import { find } from "../elements.js";

/** After the last key that was typed. */
const SETTLED_MS = 120;

/** The field, and what is wanted by it. */
export class Search {
  #field = find("search");
  #changed;
  #timer = null;

  /** @param {() => void} changed */
  constructor(changed) {
    this.#changed = changed;
    find("search-form").addEventListener("submit", (event) => event.preventDefault());
    this.#field.addEventListener("input", () => {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(changed, SETTLED_MS);
    });
  }

  /** @returns {boolean} whether anything is looked for */
  get isOn() {
    return this.#field.value.trim() !== "";
  }

  /**
   * What is looked for, as a test of messages.
   * @returns {(message: import("./inbox.js").Message) => boolean}
   */
  finder() {
    const words = this.#field.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
    if (words.length === 0) return () => true;
    return ({ event }) => {
      const { title = "", message = "", tags = [], topic, attachment } = event;
      const text = `${title}\n${message}\n${tags.join(" ")}\n${topic}\n${attachment?.name ?? ""}`;
      const lower = text.toLowerCase();
      return words.every((word) => lower.includes(word));
    };
  }

  /** Looks for nothing any more. */
  leave() {
    if (document.activeElement === this.#field) this.#field.blur();
    if (!this.isOn) return;
    this.#field.value = "";
    this.#changed();
  }
}
