// app/feed.js: the list of messages as it is on the screen: only as many as somebody has come to,
// and a page more whenever the end comes near. What is there already stays the same element, so
// that a new message moves no focus. Which messages they are, it is told.

import { find, write } from "../elements.js";
import { say } from "./language.js";
import { messageView, showRead } from "./message_view.js";

/** Messages that are added at a time, and how far from the end. */
const PAGE = 40;
const NEAR = "1200px";

/** As many stay at the top of the page when new ones come without end. */
const TOP_KEPT = 200;

/** From here on somebody reads further down and is not at the top. */
const TOP_PX = 160;

/** The list. */
export class Feed {
  #box = find("feed");
  #newer = find("newer");
  #context;
  #list = [];
  #shown = PAGE;
  #rows = new Map();
  #unseen = 0;
  #newest = null;

  /** @param {import("./message_view.js").Context} context */
  constructor(context) {
    this.#context = context;
    const observer = new IntersectionObserver(
      ([{ isIntersecting }]) => isIntersecting && this.#grow(),
      { rootMargin: `0px 0px ${NEAR} 0px` },
    );
    observer.observe(find("feed-end"));
    this.#newer.addEventListener("click", () => scrollTo({ top: 0 }));
    addEventListener("scroll", () => this.#isAtTop && this.#tellNewer(0), { passive: true });
  }

  /** @returns {HTMLElement|null} the message that has the focus, or in which something has it */
  get focused() {
    return document.activeElement?.closest?.("#feed > article") ?? null;
  }

  /** Begins anew at the top: the next messages have nothing to do with these. */
  reset() {
    this.#box.replaceChildren();
    this.#rows.clear();
    this.#shown = PAGE;
    this.#newest = null;
    this.#tellNewer(0);
    scrollTo({ top: 0, behavior: "instant" });
  }

  /**
   * Shows these messages.
   * @param {import("./inbox.js").Message[]} list the newest first
   */
  show(list) {
    const before = this.#newest;
    this.#list = list;
    this.#newest = list[0]?.key ?? null;
    const added = before === null ? 0 : Math.max(0, list.findIndex(({ key }) => key === before));
    if (this.#isAtTop) this.#shown = Math.min(this.#shown, TOP_KEPT);
    else {
      this.#shown += added;
      this.#tellNewer(this.#unseen + added);
    }
    this.#draw();
  }

  /**
   * Moves the focus to the message before or behind the one that has it.
   * @param {1|-1} by
   */
  step(by) {
    const articles = [...this.#box.children];
    const at = articles.indexOf(this.focused);
    const next = at < 0 ? articles.find(isInView) ?? articles[0] : articles[at + by];
    next?.focus();
    next?.scrollIntoView({ block: "nearest" });
  }

  get #isAtTop() {
    return scrollY < TOP_PX;
  }

  #grow() {
    if (this.#shown >= this.#list.length) return;
    this.#shown += PAGE;
    this.#draw();
    // Still near the end: the observer speaks only when that changes.
    requestAnimationFrame(() => {
      const end = find("feed-end").getBoundingClientRect().top;
      if (end < innerHeight + parseInt(NEAR)) this.#grow();
    });
  }

  #draw() {
    const wanted = this.#list.slice(0, this.#shown);
    const keys = new Set(wanted.map(({ key }) => key));
    for (const [key, { article }] of this.#rows) {
      if (keys.has(key)) continue;
      this.#leave(article);
      this.#rows.delete(key);
    }
    const setSize = String(this.#list.length);
    wanted.forEach((message, at) => {
      const article = this.#articleOf(message);
      const there = this.#box.children[at] ?? null;
      if (article !== there) this.#box.insertBefore(article, there);
      set(article, "aria-posinset", String(at + 1));
      set(article, "aria-setsize", setSize);
    });
  }

  #articleOf(message) {
    const row = this.#rows.get(message.key);
    if (row?.message === message) return row.article;
    if (row?.message.event === message.event) {
      showRead(row.article, message);
      row.message = message;
      return row.article;
    }
    const article = messageView(message, this.#context);
    if (row) {
      const hadFocus = row.article.contains(document.activeElement);
      row.article.replaceWith(article);
      if (hadFocus) article.focus();
    }
    this.#rows.set(message.key, { message, article });
    return article;
  }

  /** A message goes; if it had the focus, the next one has it. */
  #leave(article) {
    if (article.contains(document.activeElement)) {
      (article.nextElementSibling ?? article.previousElementSibling ?? this.#box).focus();
    }
    article.remove();
  }

  #tellNewer(count) {
    if (count === this.#unseen) return;
    this.#unseen = count;
    this.#newer.hidden = count === 0;
    write(this.#newer, say("newer", { n: count }));
  }
}

function set(element, name, value) {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

function isInView(article) {
  const { top, bottom } = article.getBoundingClientRect();
  return bottom > TOP_PX / 2 && top < innerHeight;
}
