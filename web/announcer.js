// announcer.js: says in words, to a screen reader, what the picture shows, and seldom enough to
// be bearable. Changes of the connection are said at once. It shows nothing on the screen.

/** The least time between two summaries. */
const SUMMARY_EVERY_MS = 20_000;

/** Speaks through a live region of the page. */
export class Announcer {
  #region;
  #lastSummary = performance.now();

  /** @param {HTMLElement} region an element with role="status" */
  constructor(region) {
    this.#region = region;
  }

  /**
   * Says something now.
   * @param {string} text
   */
  say(text) {
    this.#region.textContent = text;
  }

  /**
   * Says a summary, if the last one is long enough ago and there is anything to tell.
   * @param {() => string|null} makeText
   */
  summarise(makeText) {
    const now = performance.now();
    if (now - this.#lastSummary < SUMMARY_EVERY_MS) return;
    const text = makeText();
    if (text === null) return;
    this.#lastSummary = now;
    this.say(text);
  }
}
