// first/sentence.js: the one sentence below the picture: how late push and polling had a message.
// It is about the newest one that both have; about one that a person has just rung, as soon as
// one of them has it. It measures nothing.

import { make } from "../elements.js";
import { duration } from "../format.js";
import { say, sayNodes } from "../words/say.js";

/** Messages looked at: older ones are not news. */
const LOOKED_AT = 60;

/** The sentence. */
export class Sentence {
  #place;
  #journal;
  #announce;
  #push = "";
  #rungAt = Infinity;
  #shown = "";

  /**
   * @param {HTMLElement} place
   * @param {import("../journal.js").Journal} journal
   * @param {(text: string) => void} announce
   */
  constructor(place, journal, announce) {
    this.#place = place;
    this.#journal = journal;
    this.#announce = announce;
  }

  /** A person rings now: the next message is of interest before both have it. */
  rung() {
    this.#rungAt = performance.now();
  }

  /**
   * Brings the sentence up to date.
   * @param {string} push the lane that is compared with polling
   * @param {boolean} isUp whether both lanes are
   */
  show(push, isUp) {
    this.#push = push;
    const sent = this.#journal.entries.slice(-LOOKED_AT).filter(({ sentAt }) => sentAt !== null);
    const pushed = sent.filter(({ delay }) => delay[push] !== undefined);
    const own = pushed.find(({ sentAt }) => sentAt >= this.#rungAt);
    const both = pushed.findLast(({ delay }) => delay.poll !== undefined);
    if (own) this.#tell(own);
    else if (both) this.#tell(both);
    else if (pushed.length > 0) this.#tell(pushed.at(-1));
    else this.#write(isUp ? "first.ready" : "first.connecting", {});
    if (own?.delay.poll === undefined) return;
    this.#rungAt = Infinity;
    this.#announce(this.#place.textContent);
  }

  /** @returns {string} the sentence, if it has figures */
  get words() {
    return this.#shown === "first.both" ? this.#place.textContent : "";
  }

  #tell({ delay, sentAt }) {
    const isBoth = delay.poll !== undefined;
    const poll = isBoth ? delay.poll : performance.now() - sentAt;
    this.#write(isBoth ? "first.both" : "first.pending", {
      push: make("strong", { class: `of-${this.#push}` }, duration(delay[this.#push])),
      poll: make("strong", { class: "of-poll" }, duration(poll)),
    });
  }

  #write(key, values) {
    const words = Object.fromEntries(
      Object.entries(values).map(([name, node]) => [name, node.textContent]));
    this.#shown = key;
    if (this.#place.textContent === say(key, words)) return;
    this.#place.replaceChildren(...sayNodes(key, values));
  }
}
