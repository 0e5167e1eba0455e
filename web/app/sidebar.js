// app/sidebar.js: the list of topics, each with its name and what is unread in it, and the form
// that adds one. On a phone it is a drawer. What is chosen stands in the page's address, behind
// the #.

import { find, make, write } from "../elements.js";
import { say } from "./language.js";
import { isFilter } from "./topics.js";

/** More unread messages than that are not told apart. */
const COUNTED = 999;

/** The list, and the drawer that it is in. */
export class Sidebar {
  #topics;
  #inbox;
  #refused;
  #rows = new Map();

  /**
   * @param {import("./topics.js").Topics} topics
   * @param {import("./inbox.js").Inbox} inbox
   * @param {Map<string, string>} refused filters that may not be read, and why
   */
  constructor(topics, inbox, refused) {
    this.#topics = topics;
    this.#inbox = inbox;
    this.#refused = refused;
    find("add-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#add(find("add").value.trim());
    });
    find("drawer-button").addEventListener("click", () => this.#draw(!this.#isOpen));
    find("shade").addEventListener("click", () => this.#draw(false));
    find("sidebar").addEventListener("keydown", ({ key }) => {
      if (key === "Escape") this.#draw(false);
    });
  }

  /**
   * Brings the list up to date.
   * @param {string} chosen the filter that is shown; empty for all
   */
  refresh(chosen) {
    const filters = ["", ...this.#topics.list.map(({ filter }) => filter)];
    for (const [filter, { item }] of this.#rows) {
      if (filters.includes(filter)) continue;
      item.remove();
      this.#rows.delete(filter);
    }
    filters.forEach((filter, at) => {
      const row = this.#rowOf(filter);
      const there = find("topics").children[at] ?? null;
      if (there !== row.item) find("topics").insertBefore(row.item, there);
      this.#fill(row, filter, chosen);
    });
  }

  /**
   * Has a topic ready to be added.
   * @param {string} filter
   */
  suggest(filter) {
    find("add").value = filter;
  }

  /** Leads to where a topic is added. */
  invite() {
    if (find("drawer-button").checkVisibility()) this.#draw(true);
    find("add").focus();
  }

  #rowOf(filter) {
    if (!this.#rows.has(filter)) {
      const name = make("bdi", { class: "t-name" });
      const sub = make("span", { class: "t-sub" });
      const count = make("span", { class: "t-count" });
      const link = make("a", { href: `#${encodeURIComponent(filter)}`, "data-filter": filter });
      link.append(make("span", { class: "t-words" }, name, sub), count);
      link.addEventListener("click", () => this.#draw(false));
      const item = make("li", {}, link);
      this.#rows.set(filter, { item, link, name, sub, count });
    }
    return this.#rows.get(filter);
  }

  #fill({ link, name, sub, count }, filter, chosen) {
    const one = this.#topics.of(filter);
    const isMuted = one?.muted === true;
    const unread = filter === ""
      ? this.#inbox.unreadWhere((topic) => topic !== "" && !this.#topics.isMuted(topic))
      : this.#inbox.unreadOf(filter);
    write(name, filter === "" ? say("all") : one?.name || filter);
    const facts = [];
    if (one?.name) facts.push(filter);
    if (isMuted) facts.push(say("muted"));
    if (this.#refused.has(filter)) facts.push(say("refused"));
    write(sub, facts.join(" · "));
    link.title = this.#refused.get(filter) ?? "";
    link.classList.toggle("is-muted", isMuted);
    write(count, unread === 0 ? "" : unread > COUNTED ? `${COUNTED}+` : String(unread));
    if (unread === 0) count.removeAttribute("aria-label");
    else count.setAttribute("aria-label", say("unread", { n: unread }));
    count.setAttribute("role", "img");
    count.hidden = unread === 0;
    if (filter === chosen) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }

  #add(filter) {
    const why = filter === "" ? null : this.#refusal(filter);
    find("add").setAttribute("aria-invalid", String(why !== null));
    write(find("add-note"), why ?? say("add_note"));
    find("add-note").classList.toggle("is-bad", why !== null);
    if (why !== null || filter === "") return;
    find("add").value = "";
    if (!this.#topics.of(filter)) this.#topics.add(filter);
    location.hash = encodeURIComponent(filter);
    this.#draw(false);
  }

  /** Why a filter cannot be added, or null. */
  #refusal(filter) {
    if (!isFilter(filter)) return say("add_malformed", { filter });
    const fits = this.#topics.of(filter) || this.#topics.hasRoomFor(filter);
    return fits ? null : say("add_full");
  }

  get #isOpen() {
    return document.body.classList.contains("drawer-open");
  }

  #draw(open) {
    if (open === this.#isOpen) return;
    document.body.classList.toggle("drawer-open", open);
    find("drawer-button").setAttribute("aria-expanded", String(open));
    find("shade").hidden = !open;
    if (open) find("topics").querySelector("[aria-current], a")?.focus();
    else find("drawer-button").focus();
  }
}
