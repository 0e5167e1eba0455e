// app/commands.js: what somebody can do to a message and to a topic: here, and, after a question,
// for everybody who reads it.

import { find } from "../elements.js";
import { ask, copy, menu, note } from "./asking.js";
import { forEverybody } from "./history.js";
import { say } from "./language.js";
import { plainText, targetOf } from "./message_view.js";
import { seriesOf } from "./series.js";
import { NAME_LIMIT, matches } from "./topics.js";

/** The commands. */
export class Commands {
  #topics;
  #inbox;
  #view;
  #scheduled;
  /** What was deleted here last, and can still come back. */
  #deleted = [];

  /**
   * @param {object} page
   * @param {import("./topics.js").Topics} page.topics
   * @param {import("./inbox.js").Inbox} page.inbox
   * @param {import("./view.js").View} page.view
   * @param {import("./scheduled.js").Scheduled} page.scheduled
   */
  constructor({ topics, inbox, view, scheduled }) {
    this.#topics = topics;
    this.#inbox = inbox;
    this.#view = view;
    this.#scheduled = scheduled;
  }

  /**
   * Shows what can be done to a message.
   * @param {import("./inbox.js").Message} message
   */
  menuOf({ key, event }) {
    const current = this.#inbox.get(key);
    const unread = current?.unread === true;
    const target = targetOf(event);
    menu(event.title || this.#topics.nameOf(event.topic), [
      ...(target ? [{ label: say("open"), act: () => openPage(target) }] : []),
      { label: say("copy"), act: () => copy(plainText(event)) },
      {
        label: say(unread ? "mark_read" : "mark_unread"),
        act: () => this.#inbox.read([key], !unread),
      },
      { label: say("remove_here"), act: () => this.#remove(key) },
      { label: say("clear_all"), act: () => this.#everybody("clear", event) },
      { label: say("remove_all"), act: () => this.#everybody("delete", event), isGrave: true },
    ]);
  }

  /** Shows what can be done to the topic that is shown. */
  menuOfTopic() {
    const one = this.#topics.of(this.#view.filter);
    if (!one) return;
    const { filter, muted } = one;
    const name = one.name || filter;
    menu(name, [
      { label: say("rename"), act: () => this.#rename(one) },
      {
        label: say(muted ? "unmute" : "mute"),
        act: () => this.#topics.change(filter, { muted: !muted }),
      },
      { label: say("empty_here"), act: () => this.#empty(filter, name), isGrave: true },
      { label: say("leave"), act: () => this.#leave(filter, name), isGrave: true },
    ]);
  }

  /**
   * Opens what a message leads to, or all of its text.
   * @param {HTMLElement} article
   */
  open(article) {
    const message = this.#inbox.get(article.dataset.key);
    if (!message) return;
    this.#inbox.read([message.key]);
    const target = targetOf(message.event);
    if (target) openPage(target);
    else article.querySelector(".m-unfold")?.click();
  }

  /** @param {HTMLElement} article */
  toggle(article) {
    const message = this.#inbox.get(article.dataset.key);
    if (message) this.#inbox.read([message.key], !message.unread);
  }

  /** @param {HTMLElement} article */
  remove(article) {
    this.#remove(article.dataset.key);
  }

  /** Takes back that something was deleted here. */
  undo() {
    if (this.#deleted.length === 0) return;
    this.#inbox.restore(this.#deleted);
    this.#deleted = [];
    note(say("restored"));
  }

  /**
   * Takes a message back that waits for its time.
   * @param {import("./inbox.js").Message} message
   */
  async cancel({ event }) {
    try {
      await forEverybody("delete", event.topic, seriesOf(event));
      note(say("cancelled"));
    } catch (error) {
      note(error.message);
    }
    this.#scheduled.fetchIfShown();
  }

  #remove(key) {
    const message = this.#inbox.get(key);
    if (!message) return;
    this.#inbox.remove([key]);
    this.#deleted = [message];
    note(say("removed"), { label: say("undo"), act: () => this.undo() });
  }

  async #everybody(what, event) {
    const name = what === "delete" ? "remove_all" : "clear_all";
    const yes = say(what === "delete" ? "yes_remove" : "yes_clear");
    const text = say(`${name}_text`, { topic: event.topic });
    if ((await ask({ title: say(`${name}_title`), text, yes })) === null) return;
    try {
      // What it does comes back as an event, as it does to everybody else.
      await forEverybody(what, event.topic, seriesOf(event));
    } catch (error) {
      note(error.message);
    }
  }

  async #rename({ filter, name }) {
    const field = { label: say("rename_label"), value: name, longest: NAME_LIMIT };
    const question = { title: say("rename_title", { filter }), yes: say("rename_yes"), field };
    const given = await ask(question);
    if (given !== null) this.#topics.change(filter, { name: given });
  }

  async #empty(filter, name) {
    const question = { title: say("empty_here_title", { name }), text: say("empty_here_text") };
    if ((await ask({ ...question, yes: say("yes_remove") })) === null) return;
    const isGone = ({ event }) => event.event === "gap" || matches(filter, event.topic);
    const gone = this.#inbox.list(isGone);
    this.#inbox.remove(gone.map(({ key }) => key));
  }

  async #leave(filter, name) {
    const question = { title: say("leave_title", { name }), text: say("leave_text") };
    if ((await ask({ ...question, yes: say("yes_leave") })) === null) return;
    this.#topics.remove(filter);
    find("topics").querySelector("a")?.focus();
  }
}

function openPage(address) {
  open(address, "_blank", "noopener,noreferrer");
}
