// lane/outage.js: a cut of the page's line, to show how the lanes come through it: when each
// noticed, when it heard again, what it missed and what came twice. It cuts nothing itself: the
// network of the page lets nothing pass (network.js), and the lanes close what is open
// (contest.js).

import { duration } from "../format.js";
import { make, write } from "../elements.js";
import { LANES } from "./list.js";
import { say } from "../words/say.js";

/** How long the line is cut. */
export const CUT_SECONDS = 5;

/**
 * @typedef {object} Course how one lane came through
 * @property {number|null} noticed when it knew that it had lost its line
 * @property {number|null} again when it was there again, or had a message again
 * @property {number} missed and `repeated`, before the cut
 */

/** The cuts of the line, and what is told of the last one. */
export class Outage {
  #table;
  #stats;
  #announce;
  /** @type {Map<string, Course>} */
  #courses = new Map();
  #began = 0;
  #ends = 0;
  #told = true;

  /**
   * @param {HTMLTableElement} table
   * @param {Record<string, import("./stats.js").LaneStats>} stats
   * @param {(text: string) => void} announce
   */
  constructor(table, stats, announce) {
    this.#table = table;
    this.#stats = stats;
    this.#announce = announce;
  }

  /** @returns {boolean} whether the line is cut now */
  get isCut() {
    return performance.now() < this.#ends;
  }

  /**
   * The line is cut now.
   * @param {string[]} lanes those in the picture
   */
  begin(lanes) {
    this.#began = performance.now();
    this.#ends = this.#began + CUT_SECONDS * 1000;
    this.#told = false;
    const cut = LANES.filter(({ name, clock }) => clock === "page" && lanes.includes(name));
    this.#courses = new Map(cut.map(({ name }) => {
      const { missed, repeated } = this.#stats[name];
      return [name, { noticed: null, again: null, missed, repeated }];
    }));
    this.#build(lanes);
    this.#announce(say("outage.begun", { seconds: CUT_SECONDS }));
  }

  /**
   * A lane has said how it is.
   * @param {string} name
   * @param {{kind: string}} state
   */
  changed(name, { kind }) {
    const course = this.#courses.get(name);
    if (!course) return;
    if (kind === "waiting" || kind === "down") course.noticed ??= performance.now();
    else if (kind === "up") this.#heard(course);
  }

  /**
   * A lane has brought a message.
   * @param {string} name
   */
  brought(name) {
    const course = this.#courses.get(name);
    if (course) this.#heard(course);
  }

  /** A new count begins: what was before is not known any more. */
  restart() {
    for (const course of this.#courses.values()) Object.assign(course, { missed: 0, repeated: 0 });
  }

  /** Brings the table up to date, and says once how it ended. */
  show() {
    for (const [name, course] of this.#courses) {
      const { missed, repeated } = this.#stats[name];
      const times = [since(this.#began, course.noticed), since(this.#ends, course.again)];
      const counts = [missed - course.missed, repeated - course.repeated].map(String);
      [...times, ...counts].forEach((text, at) => write(this.#cell(name, at), text));
    }
    const courses = [...this.#courses.entries()];
    if (this.#told || this.isCut || courses.some(([, { again }]) => again === null)) return;
    this.#told = true;
    const words = courses.map(([name, { again }]) => {
      const { title } = LANES.find((lane) => lane.name === name);
      return say("outage.after", { lane: title, time: duration(again - this.#ends) });
    });
    this.#announce(say("outage.told", { words: words.join(say("lane.comma")) }));
  }

  #heard(course) {
    if (!this.isCut) course.again ??= performance.now();
  }

  #build(lanes) {
    const heads = ["noticed", "again", "missed", "repeated"].map((key) =>
      make("th", { scope: "col" }, say(`outage.${key}`)));
    const rows = LANES.filter(({ name }) => lanes.includes(name)).map(({ name, title }) => {
      const head = make("th", { scope: "row", class: `of-${name}` }, title);
      if (!this.#courses.has(name)) {
        return make("tr", {}, head, make("td", { colspan: "4" }, say("outage.notcut")));
      }
      return make("tr", { "data-lane": name }, head, ...heads.map(() => make("td")));
    });
    this.#table.replaceChildren(
      make("caption", { class: "only-spoken" }, say("outage.caption")),
      make("thead", {}, make("tr", {}, make("td"), ...heads)),
      make("tbody", {}, ...rows),
    );
    this.#table.hidden = false;
  }

  #cell(name, at) {
    return this.#table.querySelector(`tr[data-lane="${name}"]`).cells[at + 1];
  }
}

function since(begin, moment) {
  return moment === null ? say("outage.notyet") : duration(moment - begin);
}
