// app/topics.js: which topics and patterns this browser reads, what each is called here, and which
// of them are muted. The list is kept in localStorage, where the browser lets it be; the messages
// are kept elsewhere (store.js).

import { ROOT } from "../net.js";

/** Where the list is kept: one for each server, if several share a host. */
const MEMORY = `doorbell.inbox.topics${ROOT}`;

/** As docs/protocol.md has them. */
const FILTER_BYTES = 128;
const FILTER_FORM = /^(?:[\w-]+|\*)(?:\.(?:[\w-]+|\*))*(?:\.>)?$|^>$/;

/** Filters of one list: what fits into one address with room to spare; and how many of them the
 * server takes that are patterns. */
const FILTERS_LIMIT = 100;
const PATTERNS_LIMIT = 64;

/** The longest name that somebody can give to a filter. */
export const NAME_LIMIT = 60;

/**
 * @typedef {object} Subscription
 * @property {string} filter a topic, or a pattern such as `home.*`
 * @property {string} name what it is called here; empty if it has no name of its own
 * @property {boolean} muted whether its messages make no noise and do not count
 * @property {boolean} fetched whether what the server held when it was added is here
 */

/**
 * Whether a text is one topic or one pattern.
 * @param {string} text
 * @returns {boolean}
 */
export function isFilter(text) {
  return text.length <= FILTER_BYTES && FILTER_FORM.test(text);
}

/**
 * Whether a text is one topic, to which one can publish.
 * @param {string} text
 * @returns {boolean}
 */
export function isTopic(text) {
  return isFilter(text) && !/[*>]/.test(text);
}

/**
 * Whether a filter holds a topic.
 * @param {string} filter
 * @param {string} topic
 * @returns {boolean}
 */
export function matches(filter, topic) {
  if (filter === topic) return true;
  const wanted = filter.split(".");
  const given = topic.split(".");
  if (wanted.at(-1) === ">") {
    if (given.length < wanted.length) return false;
    wanted.pop();
  } else if (given.length !== wanted.length) {
    return false;
  }
  return wanted.every((segment, at) => segment === "*" || segment === given[at]);
}

/** The list. It tells whoever listens to `change` that it is another one now. */
export class Topics extends EventTarget {
  #list = remembered();

  constructor() {
    super();
    addEventListener("storage", ({ key }) => {
      if (key !== MEMORY) return;
      this.#list = remembered();
      this.dispatchEvent(new Event("change"));
    });
  }

  /** @returns {readonly Subscription[]} in the order in which they are shown */
  get list() {
    return this.#list;
  }

  /**
   * Whether one more fits.
   * @param {string} filter
   * @returns {boolean}
   */
  hasRoomFor(filter) {
    const patterns = this.#list.filter((one) => !isTopic(one.filter)).length;
    const fits = isTopic(filter) || patterns < PATTERNS_LIMIT;
    return fits && this.#list.length < FILTERS_LIMIT;
  }

  /**
   * @param {string} filter
   * @returns {Subscription|undefined}
   */
  of(filter) {
    return this.#list.find((one) => one.filter === filter);
  }

  /**
   * What a topic is called here.
   * @param {string} topic
   * @returns {string}
   */
  nameOf(topic) {
    return this.of(topic)?.name || topic;
  }

  /**
   * Whether every filter that holds the topic is muted.
   * @param {string} topic
   * @returns {boolean}
   */
  isMuted(topic) {
    const holding = this.#list.filter(({ filter }) => matches(filter, topic));
    return holding.length > 0 && holding.every(({ muted }) => muted);
  }

  /**
   * Whether any filter holds the topic.
   * @param {string} topic
   * @returns {boolean}
   */
  holds(topic) {
    return this.#list.some(({ filter }) => matches(filter, topic));
  }

  /** @param {string} filter one that is not in the list */
  add(filter) {
    this.#become([...this.#list, { filter, name: "", muted: false, fetched: false }]);
  }

  /** @param {string} filter */
  remove(filter) {
    this.#become(this.#list.filter((one) => one.filter !== filter));
  }

  /**
   * @param {string} filter
   * @param {Partial<Subscription>} changes
   */
  change(filter, changes) {
    this.#become(this.#list.map((one) => (one.filter === filter ? { ...one, ...changes } : one)));
  }

  #become(list) {
    this.#list = list;
    try {
      localStorage.setItem(MEMORY, JSON.stringify(list));
    } catch {
      // Where nothing is kept the list lasts as long as the page.
    }
    this.dispatchEvent(new Event("change"));
  }
}

function remembered() {
  try {
    const kept = JSON.parse(localStorage.getItem(MEMORY) ?? "[]");
    return kept
      .filter((one) => typeof one?.filter === "string" && isFilter(one.filter))
      .slice(0, FILTERS_LIMIT)
      .map(({ filter, name, muted, fetched }) => ({
        filter,
        name: typeof name === "string" ? name.slice(0, NAME_LIMIT) : "",
        muted: muted === true,
        fetched: fetched === true,
      }));
  } catch {
    return [];
  }
}
