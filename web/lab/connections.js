// lab/connections.js: the live table of connections, as the lab tells it twice a second:
// others first, then the lanes of this page, then what waits for its next request. It asks for
// nothing and keeps only what is on the page.

import { find, make, write } from "../elements.js";
import { COLUMNS, MARKED } from "./connection_row.js";
import { laneOf } from "../lane/list.js";
import * as format from "../format.js";
import { say } from "../words/say.js";

/** How long a new row, or a figure that changed, stands out. */
const NEW_MS = 2500;
const CHANGED_MS = 1200;

/** Ways that a person takes by hand: a new one is said aloud. */
const BY_HAND = ["tcp", "udp", "unix"];

/** The table. */
export class Connections {
  #table;
  #announce;
  #others = make("tbody", { id: "connections-others" });
  #own = make("tbody", { id: "connections-own" });
  #idle = make("tbody", { id: "connections-idle" });
  #idleHead;
  #nobody;
  #rows = new Map();
  #isFirst = true;
  #stillness = matchMedia("(prefers-reduced-motion: reduce)");

  /**
   * @param {HTMLTableElement} table
   * @param {(text: string) => void} announce
   */
  constructor(table, announce) {
    this.#table = table;
    this.#announce = announce;
    const heads = COLUMNS.map(({ title }) => make("th", { scope: "col" }, title));
    this.#nobody = group(say("connections.nobody"));
    this.#nobody.classList.add("nobody");
    this.#idleHead = group(say("connections.idle"));
    table.replaceChildren(
      make("caption", { class: "only-spoken" }, say("connections.caption")),
      make("thead", {}, make("tr", {}, ...heads)),
      make("tbody", { class: "group" }, group(say("connections.others")),
        this.#nobody),
      this.#others,
      make("tbody", { class: "group" }, group(say("connections.own"))),
      this.#own,
      make("tbody", { class: "group" }, this.#idleHead),
      this.#idle,
    );
  }

  /**
   * Brings the table up to date.
   * @param {{total: number, rows: object[]}} told
   */
  show({ total, rows }) {
    if (!Array.isArray(rows)) return;
    const gone = new Set(this.#rows.keys());
    const home = hostOf(rows.find(({ lane, via }) => lane && via !== "tcp" && via !== "udp"));
    for (const row of rows) {
      gone.delete(row.number);
      this.#update({ ...row, isNear: home !== null && hostOf(row) === home });
    }
    for (const number of gone) {
      this.#rows.get(number).element.remove();
      this.#rows.delete(number);
    }
    this.#order(rows);
    this.#nobody.hidden = this.#others.childElementCount > 0;
    this.#idleHead.hidden = this.#idle.childElementCount === 0;
    this.#table.hidden = false;
    write(find("connections-count"), countOf(total, rows.length, this.#others.childElementCount));
    this.#isFirst = false;
  }

  /** What is shown is no longer true: the lab is gone. */
  clear() {
    for (const { element } of this.#rows.values()) element.remove();
    this.#rows.clear();
    this.#table.hidden = true;
    this.#isFirst = true;
    write(find("connections-count"), "");
  }

  #update(row) {
    let known = this.#rows.get(row.number);
    if (!known) {
      known = build(row);
      this.#rows.set(row.number, known);
      if (placeOf(row) === "others" && !this.#isFirst) this.#greet(known, row);
    }
    for (const column of COLUMNS) {
      const cell = known.cells.get(column.key);
      const parts = column.show(row);
      const isEmpty = parts.every((part) => part === "");
      cell.classList.toggle("is-empty", isEmpty);
      const changed = parts.map((part, at) => write(cell.children[at], part)).some(Boolean);
      if (changed && known.isShown && MARKED.has(column.key)) this.#mark(cell, CHANGED_MS);
    }
    paintWay(known, row);
    known.isShown = true;
  }

  /** A stranger has come: the row lights up, and a person's own connection is said aloud. */
  #greet({ element }, row) {
    element.classList.add("is-new");
    setTimeout(() => element.classList.remove("is-new"), NEW_MS);
    if (!BY_HAND.includes(row.via)) return;
    const peer = row.peer ?? say("connections.machine");
    this.#announce(say("connections.new", { via: row.via, peer }));
  }

  #mark(cell, milliseconds) {
    if (this.#stillness.matches) return;
    cell.animate({ backgroundColor: ["var(--mark)", "transparent"] }, milliseconds);
  }

  /** Keeps the server's order, newest first, and moves only what is out of place. */
  #order(rows) {
    const bodies = { others: this.#others, own: this.#own, idle: this.#idle };
    for (const [place, body] of Object.entries(bodies)) {
      const wanted = rows.filter((row) => placeOf(row) === place);
      wanted.forEach((row, at) => {
        const { element } = this.#rows.get(row.number);
        if (body.children[at] !== element) body.insertBefore(element, body.children[at] ?? null);
      });
    }
  }
}

/** The address from which a connection comes, without its port; of this page that of its reader. */
function hostOf(row) {
  return row?.client ?? row?.peer?.replace(/:\d+$/, "").replace(/^\[(.*)\]$/, "$1") ?? null;
}

/** Where a row stands. A person's own connection must not drown among those of browsers. */
function placeOf({ lane, via }) {
  if (typeof lane === "string") return "own";
  return via === "http" || via === "lab" ? "idle" : "others";
}

function build(row) {
  const element = make("tr", { "data-number": row.number });
  const cells = new Map();
  for (const { key, title, show } of COLUMNS) {
    const spans = show(row).map(() => make("span"));
    const cell = make("td", { "data-label": title, class: `cell-${key}` }, ...spans);
    cells.set(key, cell);
    element.append(cell);
  }
  return { element, cells, isShown: false, paint: "" };
}

/** The colour of the lane beside its name. */
function paintWay(known, row) {
  const name = laneOf(row.lane) ? row.lane : "";
  if (known.paint === name) return;
  known.paint = name;
  known.cells.get("way").className = `cell-way${name ? ` of-${name}` : ""}`;
}

function group(text) {
  const head = make("th", { colspan: COLUMNS.length, scope: "rowgroup" }, text);
  return make("tr", {}, head);
}

function countOf(total, shown, others) {
  const all = Number.isFinite(total) ? total : shown;
  return say(all === 1 ? "connections.connection" : "connections.connections", {
    count: format.count(all),
    shown: shown < all ? say("connections.shown", { count: format.count(shown) }) : "",
    others: others === 0 ? say("connections.none") : format.count(others),
  });
}
