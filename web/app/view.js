// app/view.js: which topic, pattern or all of them is shown. It stands behind the # of the page's
// address, so that going back, a bookmark and a notification's click lead there.

import { isFilter, matches } from "./topics.js";

/** The choice. It tells whoever listens to `change` that it is another one now. */
export class View extends EventTarget {
  #topics;
  #filter;

  /** @param {import("./topics.js").Topics} topics */
  constructor(topics) {
    super();
    this.#topics = topics;
    this.#filter = inAddress();
    addEventListener("hashchange", () => {
      this.#filter = inAddress();
      this.dispatchEvent(new Event("change"));
    });
  }

  /** @returns {string} the filter that is shown: what the address names or holds; empty for all */
  get filter() {
    const { list } = this.#topics;
    if (this.#topics.of(this.#filter)) return this.#filter;
    return list.find(({ filter }) => matches(filter, this.#filter))?.filter ?? "";
  }

  /** @returns {string} what the address names although nothing in the list holds it, or nothing */
  get unlisted() {
    return this.filter === "" ? this.#filter : "";
  }

  /** @returns {string[]} the filters of which messages are shown */
  get filters() {
    return this.filter === "" ? this.#topics.list.map(({ filter }) => filter) : [this.filter];
  }

  /** @returns {boolean} whether all messages shown are of one topic */
  get isOneTopic() {
    return this.filter !== "" && !/[*>]/.test(this.filter);
  }

  /**
   * Whether a message belongs here. A gap does everywhere: it may have been of any topic.
   * @param {import("./inbox.js").Message} message
   * @returns {boolean}
   */
  holds({ event }) {
    return this.filter === "" || event.event === "gap" || matches(this.filter, event.topic);
  }

  /**
   * Whether somebody looks at the messages of a topic right now.
   * @param {string} topic
   * @returns {boolean}
   */
  isRead(topic) {
    return !document.hidden && this.filter !== "" && matches(this.filter, topic);
  }

  /** @param {string} filter to be shown; empty for all */
  choose(filter) {
    location.hash = encodeURIComponent(filter);
  }

  /** The list of topics is another one: what is shown may have gone. */
  topicsChanged() {
    if (this.#filter !== "" && this.filter === "") this.choose("");
  }
}

function inAddress() {
  try {
    const filter = decodeURIComponent(location.hash.slice(1));
    return isFilter(filter) ? filter : "";
  } catch {
    return "";
  }
}
