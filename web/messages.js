// messages.js: the list of the last messages. They come from strangers, so every word of them
// goes in as text, is cut at a bound, and is kept apart from the page's own words. A new version of
// a message takes the place of the one before; what was deleted goes.

import { duration } from "./format.js";
import { LANES } from "./lane/list.js";
import { WORDS, say } from "./words/say.js";

/** Messages shown. */
const SHOWN = 50;

/** The longest text shown of one message, and of its title or a tag. */
const TEXT_SHOWN = 600;
const WORD_SHOWN = 80;

/** The list, newest first. */
export class MessageList {
  #list;
  #empty;
  #journal;
  #rows = new Map();
  /** What was brought here already, also if its row has gone. */
  #taken = new WeakSet();
  #waiting = [];

  /**
   * @param {HTMLOListElement} list
   * @param {HTMLElement} empty what is shown while there are no messages
   * @param {import("./journal.js").Journal} journal
   */
  constructor(list, empty, journal) {
    this.#list = list;
    this.#empty = empty;
    this.#journal = journal;
  }

  /**
   * Takes a message in, to be shown at the next refresh.
   * @param {import("./journal.js").Entry} entry
   */
  add(entry) {
    if (this.#taken.has(entry)) return;
    this.#waiting.push(entry);
    if (this.#waiting.length > SHOWN) this.#waiting.shift();
  }

  /** Brings the page up to date. Called a few times a second, not for every message. */
  refresh() {
    // A lane that tells only ids may be the first: then the words are still to come.
    for (const entry of this.#waiting.splice(0)) {
      if (!entry.event) this.#waiting.push(entry);
      else if (!this.#taken.has(entry)) this.#take(entry);
    }
    this.#empty.hidden = this.#rows.size > 0;
    for (const row of this.#rows.values()) {
      const text = arrival(row.entry, this.#journal);
      if (row.arrival.textContent !== text) row.arrival.textContent = text;
    }
  }

  #take(entry) {
    this.#taken.add(entry);
    const { event } = entry;
    const name = nameOf(event);
    if (event.event === "message_clear") {
      this.#rows.get(name)?.item.classList.add("message-seen");
      return;
    }
    this.#drop(name);
    if (event.event !== "message_delete") this.#show(name, entry);
  }

  #show(name, entry) {
    const item = document.createElement("li");
    const head = piece("div", "message-head");
    head.append(clock(entry.event), ...titleOf(entry.event), ...marksOf(entry.event));
    const text = piece("p", "message-text", cut(entry.event.message, TEXT_SHOWN));
    text.dir = "auto";
    const arrivalLine = piece("p", "message-arrival");
    item.append(head, text, arrivalLine);
    this.#list.prepend(item);
    this.#rows.set(name, { entry, item, arrival: arrivalLine });
    if (this.#rows.size > SHOWN) this.#drop(this.#rows.keys().next().value);
  }

  #drop(name) {
    this.#rows.get(name)?.item.remove();
    this.#rows.delete(name);
  }
}

/** What all versions of a message have in common, and what is done to it. */
function nameOf(event) {
  return `${event.topic} ${event.sequence_id ?? event.id}`;
}

/** How the message came, in one line: bells first, as they rang, polling last. */
function arrival(entry, journal) {
  if (entry.sentAt !== null) {
    return partsOf(entry, journal, (name) => entry.delay[name]).join(" · ");
  }
  if (!journal.isFromElsewhere(entry)) return "";
  const first = Math.min(...Object.values(entry.came));
  const parts = partsOf(entry, journal, (name) => {
    if (entry.delay[name] !== undefined) return entry.delay[name];
    return entry.came[name] === undefined ? undefined : entry.came[name] - first;
  }, "+");
  return [say("messages.elsewhere"), ...parts].join(" · ");
}

/** One part for each lane that has the message, has lost it, or still owes it. */
function partsOf(entry, journal, delayOf, sign = "") {
  const asked = ({ family }) => (family === "poll" ? 1 : 0);
  const lanes = [...LANES].sort((one, other) => asked(one) - asked(other));
  return lanes.flatMap(({ name, inText, clock }) => {
    if (entry.lost[name]) return [`${inText}: ${entry.lost[name]}`];
    const delay = delayOf(name);
    if (delay === undefined) return journal.owes(name, entry) ? [`${inText} …`] : [];
    return [`${inText} ${clock === "page" ? sign : ""}${duration(delay)}`];
  });
}

function clock(event) {
  const time = document.createElement("time");
  const moment = new Date((Number(event.time) || 0) * 1000);
  if (Number.isNaN(moment.getTime())) return time;
  time.dateTime = moment.toISOString();
  time.textContent = moment.toLocaleTimeString([], { hour12: false });
  return time;
}

function titleOf(event) {
  if (!event.title) return [];
  const title = piece("strong", "message-title", cut(event.title, WORD_SHOWN));
  title.dir = "auto";
  return [title];
}

function marksOf(event) {
  const marks = [];
  const name = WORDS.messages.priorities[event.priority];
  if (name) marks.push(piece("span", "mark mark-priority", say("messages.priority", { name })));
  const tags = Array.isArray(event.tags) ? event.tags.slice(0, 8) : [];
  for (const tag of tags) marks.push(piece("bdi", "mark", cut(tag, WORD_SHOWN)));
  return marks;
}

function piece(name, className, text = "") {
  const element = document.createElement(name);
  element.className = className;
  element.textContent = text;
  return element;
}

function cut(value, longest) {
  const text = typeof value === "string" ? value : "";
  return text.length > longest ? `${text.slice(0, longest)}…` : text;
}
