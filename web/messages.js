// messages.js: the list of the last messages. They come from strangers, so every word of them
// goes in as text, is cut at a bound, and is kept apart from the page's own words.

import { duration } from "./format.js";

/** Messages shown. */
const SHOWN = 50;

/** The longest text shown of one message, and of its title or a tag. */
const TEXT_SHOWN = 600;
const WORD_SHOWN = 80;

const PRIORITY_NAMES = { 1: "lowest", 2: "low", 4: "high", 5: "highest" };

/** The list, newest first. */
export class MessageList {
  #list;
  #empty;
  #journal;
  #rows = new Map();
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
    if (this.#rows.has(entry.id)) return;
    this.#waiting.push(entry);
    if (this.#waiting.length > SHOWN) this.#waiting.shift();
  }

  /** Brings the page up to date. Called a few times a second, not for every message. */
  refresh() {
    for (const entry of this.#waiting.splice(0)) {
      if (!this.#rows.has(entry.id)) this.#show(entry);
    }
    this.#empty.hidden = this.#rows.size > 0;
    for (const row of this.#rows.values()) {
      const text = arrival(row.entry, this.#journal);
      if (row.arrival.textContent !== text) row.arrival.textContent = text;
    }
  }

  #show(entry) {
    const item = document.createElement("li");
    const head = piece("div", "message-head");
    head.append(clock(entry.event), ...titleOf(entry.event), ...marksOf(entry.event));
    const text = piece("p", "message-text", cut(entry.event.message, TEXT_SHOWN));
    text.dir = "auto";
    const arrivalLine = piece("p", "message-arrival");
    item.append(head, text, arrivalLine);
    this.#list.prepend(item);
    this.#rows.set(entry.id, { entry, item, arrival: arrivalLine });
    if (this.#rows.size > SHOWN) this.#dropOldest();
  }

  #dropOldest() {
    const [id, row] = this.#rows.entries().next().value;
    row.item.remove();
    this.#rows.delete(id);
  }
}

/** How the message came, in one line. */
function arrival(entry, journal) {
  if (entry.sentAt !== null) {
    return `push ${since(entry, "push")} · polling ${since(entry, "poll")}`;
  }
  if (!journal.isFromElsewhere(entry)) return "";
  if (entry.push === null) return "from elsewhere · polling brought it first";
  if (entry.lost.poll) return `from elsewhere · polling: ${entry.lost.poll}`;
  if (entry.poll === null) return "from elsewhere · push brought it, polling has yet to look";
  const behind = entry.poll - entry.push;
  const order = behind >= 0 ? "after" : "before";
  return `from elsewhere · polling came ${duration(Math.abs(behind))} ${order} push`;
}

function since(entry, lane) {
  if (entry.lost[lane]) return entry.lost[lane];
  return entry[lane] === null ? "…" : duration(entry[lane] - entry.sentAt);
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
  const name = PRIORITY_NAMES[event.priority];
  if (name) marks.push(piece("span", "mark mark-priority", `${name} priority`));
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
