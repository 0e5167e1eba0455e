// app/inbox.js: the messages that are held, by what they are versions of, with what is unread among
// them. New versions take the place of old ones, what is cleared counts as read, what is deleted
// goes. It shows nothing and asks nobody; the store behind it is written a moment later.

import { ROOT } from "../net.js";
import { keyOf, moment, newestFirst } from "./series.js";
import { matches } from "./topics.js";

/** Messages held: of one topic, and of all. The oldest go first. */
export const HELD_OF_TOPIC = 10_000;
export const HELD = 40_000;

/** Other pages of this inbox hear what was read and deleted here. */
const CHANNEL = `doorbell.inbox${ROOT}`;

/** Where nothing is kept. */
const NOWHERE = { write() {} };

/** What changed within this time is written, and shown, together. */
const GATHER_MS = 40;

/**
 * @typedef {object} Message
 * @property {string} key names all versions of it
 * @property {object} event as it came; of a gap the server's `gap` and the `time_us` of its place
 * @property {boolean} unread
 */

/** The messages. It tells whoever listens to `change` that they are others now, to `settled` by
 * their keys which were read or let go of, and to `forgotten` that another page of this inbox has
 * let go of everything. */
export class Inbox extends EventTarget {
  #store = null;
  /** @type {Map<string, Message>} */
  #held = new Map();
  /** Messages that are read at once when they come, because they are seen. */
  #seen;
  /** What was deleted, so that an older version that comes late stays away. */
  #deleted = new Map();
  #count = new Map();
  #unread = new Map();
  #changed = new Set();
  #removed = new Set();
  #place = null;
  #placeKept = null;
  #timer = null;
  #latest = 0;
  /** What was kept and is here, until all of it is. */
  #early = new Set();
  #others = new BroadcastChannel(CHANNEL);

  /** @param {(topic: string) => boolean} seen whether messages of a topic are read as they come */
  constructor(seen) {
    super();
    this.#seen = seen;
    this.#others.onmessage = ({ data }) => {
      if (data.isForgotten) this.dispatchEvent(new Event("forgotten"));
      else if (data.restored) this.#putAll(data.restored);
      else if (data.removed) this.#removeAll(data.removed);
      else this.#markAll(data.keys, data.unread);
    };
  }

  /**
   * Begins with what was kept. What is here already stays as it is now.
   * @param {Message[]} messages
   */
  hold(messages) {
    for (const message of messages) {
      if (this.#early.has(message.key)) continue;
      this.#early.add(message.key);
      this.#add(message);
    }
  }

  /**
   * All that was kept is here: from now on what changes is kept too.
   * @param {import("./store.js").Store|null} store
   * @param {string|null} place up to where in the log it is all here
   */
  keepIn(store, place) {
    this.#store = store ?? NOWHERE;
    this.#place = this.#placeKept = place;
    this.#early.clear();
    this.#later();
  }

  /** @returns {string|null} the place in the log up to which everything is here */
  get place() {
    return this.#place;
  }

  /** @param {string|null} place */
  reach(place) {
    if (place === this.#place) return;
    this.#place = place;
    this.#later();
  }

  /**
   * Takes what was published.
   * @param {object} event
   * @param {boolean} [past] whether it is history, which is not news
   * @returns {Message|null} the message, if it is a new one
   */
  take(event, past = false) {
    const key = keyOf(event);
    const before = this.#held.get(key);
    if (before?.event.id === event.id) return null;
    const newest = Math.max(before?.event.time_us ?? 0, this.#deleted.get(key) ?? 0);
    if (moment(event) < newest) return null;
    if (event.event === "message_delete") {
      this.#deleted.set(key, moment(event));
      const [oldest] = this.#deleted.keys();
      if (this.#deleted.size > HELD_OF_TOPIC) this.#deleted.delete(oldest);
      if (before) this.remove([key]);
      return null;
    }
    if (event.event === "message_clear") {
      if (before) this.read([key]);
      return null;
    }
    const message = { key, event, unread: !past && !this.#seen(event.topic) };
    this.#drop(key);
    this.#put(message);
    this.#bound(event.topic);
    this.#later();
    return message;
  }

  /**
   * Puts a gap behind what is here: something between it and what comes next is lost.
   * @param {{after?: string, before?: string, reason: string}} gap
   */
  lose(gap) {
    const event = { event: "gap", gap, topic: "", time_us: this.#latest + 1 };
    event.time = Math.floor(event.time_us / 1e6);
    this.#put({ key: `gap ${gap.after} ${gap.before}`, event, unread: false });
    this.#later();
  }

  /**
   * @param {string} key
   * @returns {Message|undefined}
   */
  get(key) {
    return this.#held.get(key);
  }

  /**
   * Messages, the newest first.
   * @param {(message: Message) => boolean} wanted
   * @returns {Message[]}
   */
  list(wanted) {
    return [...this.#held.values()].filter(wanted).sort(newestFirst);
  }

  /**
   * How many messages of a filter are unread.
   * @param {string} filter
   * @returns {number}
   */
  unreadOf(filter) {
    return this.unreadWhere((topic) => matches(filter, topic));
  }

  /**
   * How many messages of some topics are unread.
   * @param {(topic: string) => boolean} wanted
   * @returns {number}
   */
  unreadWhere(wanted) {
    let sum = 0;
    for (const [topic, count] of this.#unread) if (count > 0 && wanted(topic)) sum += count;
    return sum;
  }

  /**
   * Marks messages as read, or as unread.
   * @param {Iterable<string>} keys
   * @param {boolean} [unread]
   */
  read(keys, unread = false) {
    const named = [...keys];
    if (this.#markAll(named, unread)) this.#others.postMessage({ keys: named, unread });
  }

  #markAll(keys, unread) {
    let marked = 0;
    for (const key of keys) {
      const before = this.#held.get(key);
      if (!before || before.unread === unread) continue;
      this.#tally(before, -1);
      const message = { ...before, unread };
      this.#held.set(key, message);
      this.#tally(message, 1);
      this.#changed.add(key);
      marked += 1;
    }
    if (marked === 0) return false;
    if (!unread) this.#settled(keys);
    this.#later();
    return true;
  }

  /**
   * Lets go of messages, here.
   * @param {Iterable<string>} keys
   */
  remove(keys) {
    const removed = [...keys];
    this.#removeAll(removed);
    this.#others.postMessage({ removed });
  }

  /**
   * Takes messages back that were let go of here.
   * @param {Message[]} messages
   */
  restore(messages) {
    this.#putAll(messages);
    this.#others.postMessage({ restored: messages });
  }

  #removeAll(keys) {
    for (const key of keys) this.#drop(key);
    this.#settled(keys);
    this.#later();
  }

  #putAll(messages) {
    for (const message of messages) if (!this.#held.has(message.key)) this.#put(message);
    this.#later();
  }

  /** Nobody need be told of these any more. */
  #settled(keys) {
    this.dispatchEvent(new CustomEvent("settled", { detail: keys }));
  }

  /**
   * Lets go of everything, here and in the store: the next reader begins with nothing.
   * @returns {Promise<unknown>} fulfilled once nothing is kept
   */
  forget() {
    this.#removeAll([...this.#held.keys()]);
    this.#place = null;
    this.#others.postMessage({ isForgotten: true });
    return this.flush();
  }

  /** Lets go of what no filter holds any more. @param {(topic: string) => boolean} holds */
  keepOnly(holds) {
    const gone = [...this.#held.values()].filter(({ event }) => event.topic && !holds(event.topic));
    if (gone.length > 0) this.remove(gone.map(({ key }) => key));
  }

  /**
   * Writes at once what would be written a moment later.
   * @returns {Promise<unknown>} fulfilled once it is kept, as far as it can be
   */
  async flush() {
    const isSame = this.#changed.size + this.#removed.size === 0 && this.#place === this.#placeKept;
    if (this.#store === null || isSame) return;
    const changed = [...this.#changed].map((key) => this.#held.get(key)).filter(Boolean);
    const removed = [...this.#removed];
    this.#changed.clear();
    this.#removed.clear();
    this.#placeKept = this.#place;
    await this.#store.write(changed, removed, this.#place);
  }

  #put(message) {
    this.#changed.add(message.key);
    this.#removed.delete(message.key);
    this.#add(message);
  }

  #add(message) {
    this.#held.set(message.key, message);
    this.#latest = Math.max(this.#latest, moment(message.event));
    const { topic } = message.event;
    this.#count.set(topic, (this.#count.get(topic) ?? 0) + 1);
    this.#tally(message, 1);
  }

  #drop(key) {
    const message = this.#held.get(key);
    if (!message) return;
    this.#held.delete(key);
    this.#changed.delete(key);
    this.#removed.add(key);
    const { topic } = message.event;
    this.#count.set(topic, this.#count.get(topic) - 1);
    this.#tally(message, -1);
  }

  #tally({ unread, event: { topic } }, by) {
    if (unread) this.#unread.set(topic, (this.#unread.get(topic) ?? 0) + by);
  }

  /** Lets the oldest go where there are too many: a tenth at once, so that it is seldom. */
  #bound(topic) {
    const ofTopic = this.#count.get(topic) > HELD_OF_TOPIC * 1.1;
    if (!ofTopic && this.#held.size <= HELD * 1.1) return;
    const among = this.list(({ event }) => !ofTopic || event.topic === topic);
    for (const { key } of among.slice(ofTopic ? HELD_OF_TOPIC : HELD)) this.#drop(key);
  }

  #later() {
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      this.flush();
      this.#tell();
    }, GATHER_MS);
  }

  #tell() {
    this.dispatchEvent(new Event("change"));
  }
}
