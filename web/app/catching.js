// app/catching.js: how messages come to the inbox: what is new over one connection (live.js), and
// what the server held when a topic was added (history.js), once the connection is there, so that
// nothing falls between the two.

import { note } from "./asking.js";
import { fetchHistory } from "./history.js";
import { say } from "./language.js";
import { Live } from "./live.js";

/** Where a reader begins who has no place yet: with what is new. */
const WHAT_IS_NEW = "none";

/** What brings messages. */
export class Catching {
  #topics;
  #inbox;
  #refused;
  #onNews;
  #onState;
  #live;
  /** Until it has begun, the place is not known. */
  #begun = false;
  #filters = [];
  #stop = new AbortController();
  #startedAt = Date.now() / 1000;

  /**
   * @param {object} page
   * @param {import("./topics.js").Topics} page.topics
   * @param {import("./inbox.js").Inbox} page.inbox
   * @param {Map<string, string>} page.refused filters that may not be read, and why
   * @param {(state: import("./live.js").State) => void} page.onState
   * @param {(message: import("./inbox.js").Message) => void} page.onNews
   */
  constructor({ topics, inbox, refused, onState, onNews }) {
    this.#topics = topics;
    this.#inbox = inbox;
    this.#refused = refused;
    this.#onState = onState;
    this.#onNews = onNews;
    this.#live = new Live({
      onEvent: (event) => this.#take(event),
      onGap: (gap) => inbox.lose(gap),
      onPlace: (place) => inbox.reach(place),
      onState: (state) => this.#state(state),
      onRefused: (filter, why) => {
        refused.set(filter, why);
        inbox.dispatchEvent(new Event("change"));
      },
    });
  }

  /** Begins with the topics that there are. */
  begin() {
    // Without a place nothing of before is here, whatever was fetched once.
    if (this.#inbox.place === null) {
      for (const { filter } of this.#topics.list) this.#topics.change(filter, { fetched: false });
    }
    this.#begun = true;
    this.#listen();
  }

  /** Brings nothing any more. */
  end() {
    this.#live.listen([], WHAT_IS_NEW);
  }

  /** The list of topics is another one. */
  topicsChanged() {
    const filters = this.#topics.list.map(({ filter }) => filter);
    if (this.#begun && filters.join() !== this.#filters.join()) this.#listen();
  }

  /** @param {object|null} config what the server says of itself */
  learned(config) {
    this.#live.learned(config);
  }

  #listen() {
    this.#filters = this.#topics.list.map(({ filter }) => filter);
    this.#live.listen(this.#filters, this.#inbox.place ?? WHAT_IS_NEW);
  }

  #state(state) {
    this.#onState(state);
    if (state.kind !== "up") return;
    this.#stop.abort();
    this.#stop = new AbortController();
    this.#fetchOwed(this.#stop.signal);
  }

  /** Fetches what the server held of the topics before they were here. */
  async #fetchOwed(signal) {
    const isOwed = ({ filter, fetched }) => !fetched && !this.#refused.has(filter);
    const owed = this.#topics.list.filter(isOwed);
    for (const { filter } of owed) {
      try {
        await fetchHistory(filter, (event) => this.#inbox.take(event, true), signal);
        await this.#inbox.flush();
        if (signal.aborted) return;
        this.#topics.change(filter, { fetched: true });
      } catch (error) {
        if (signal.aborted) return;
        note(say("history_failed", { why: error.message }));
      }
    }
  }

  #take(event) {
    const message = this.#inbox.take(event);
    // What came while nobody was here is unread, and no reason for noise.
    if (message && event.time >= this.#startedAt - 1) this.#onNews(message);
  }
}
