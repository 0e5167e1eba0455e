// picture/spans.js: from when to when a lane's line was open, or its question was waiting. It keeps
// moments for the picture to draw and knows nothing of connections.

/** Spans kept; older ones have long left the picture. */
const SPANS_KEPT = 400;

/** @typedef {{from: number, to: number|null, end: string}} Span `to` is null while it lasts */

/** The spans of one lane, oldest first. */
export class Spans {
  /** @type {Span[]} */
  list = [];

  /**
   * A span begins, unless one lasts.
   * @param {number} at
   */
  begin(at) {
    if (this.list.at(-1)?.to === null) return;
    this.list.push({ from: at, to: null, end: "" });
    if (this.list.length > SPANS_KEPT) this.list.shift();
  }

  /**
   * The present span ends, if there is one.
   * @param {number} at
   * @param {string} [end] how: news, empty, failed, or nothing to tell
   */
  end(at, end = "") {
    const last = this.list.at(-1);
    if (last?.to === null) Object.assign(last, { to: at, end });
  }
}
