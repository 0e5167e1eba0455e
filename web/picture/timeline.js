// picture/timeline.js: keeps the picture going: its size, its colours, its clock, and when it may
// rest. It draws only while it can be seen, and once a second where movement is unwelcome. What a
// frame looks like is picture.js's business.

import { LANES, LANE_NAMES, forEachLane } from "../lane/list.js";
import { Picture } from "./picture.js";
import { Spans } from "./spans.js";

/** Least time between two frames: the picture creeps, so thirty a second are plenty. */
const FRAME_MS = 32;
const STILL_FRAME_MS = 1000;

/** Time in view: usually, on a narrow screen, and where polling asks seldom. */
const SPAN_MS = 45_000;
const NARROW_SPAN_MS = 30_000;
const LONG_SPAN_MS = 75_000;

/** Requests kept for drawing. */
const LOOKS_KEPT = 400;

const COLOURS = ["ink", "muted", "line", "surface", "bad", ...LANE_NAMES];

/** Tracks that are no lane. */
const OTHER_TRACKS = ["time", "axis"];

/** The moving picture of all lanes. */
export class Timeline {
  #canvas;
  #stage;
  #journal;
  #picture = new Picture();
  #looks = [];
  #spans = forEachLane(() => new Spans());
  #lanes = [];
  #tracks = null;
  #colours = null;
  #seen = false;
  #held = false;
  #request = null;
  #drawnAt = -Infinity;
  #period = 5;
  #span;
  #stillness = matchMedia("(prefers-reduced-motion: reduce)");

  /**
   * @param {HTMLCanvasElement} canvas
   * @param {HTMLElement} stage the box that the canvas covers and that holds the tracks
   * @param {import("../journal.js").Journal} journal
   * @param {number} [span] milliseconds in view at least, on a wide screen
   */
  constructor(canvas, stage, journal, span = SPAN_MS) {
    this.#canvas = canvas;
    this.#stage = stage;
    this.#journal = journal;
    this.#span = span;
    new ResizeObserver(() => this.#measure()).observe(stage);
    new IntersectionObserver((seen) => this.#setSeen(seen.at(-1).isIntersecting)).observe(stage);
    document.addEventListener("visibilitychange", () => this.#wake());
    const recolour = () => ((this.#colours = null), this.#drawOnce());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolour);
  }

  /**
   * Takes a request of the polling lane in.
   * @param {{kind: string, askedAt: number, endedAt: number, brought?: number}} look
   */
  addLook({ kind, askedAt, endedAt, brought = 0 }) {
    this.#looks.push({ kind, askedAt, endedAt, brought });
    if (this.#looks.length > LOOKS_KEPT) this.#looks.shift();
  }

  /**
   * When a lane's line was open, for those who draw and those who know.
   * @param {string} lane
   * @returns {Spans}
   */
  spans(lane) {
    return this.#spans[lane];
  }

  /**
   * Which lanes are in the picture. Their tracks must be on the stage by then.
   * @param {string[]} names
   */
  setLanes(names) {
    this.#lanes = LANES.filter(({ name }) => names.includes(name));
    this.#measure();
  }

  /** @param {number} seconds the polling interval, which decides how much time is in view */
  setPeriod(seconds) {
    this.#period = seconds;
    this.#drawOnce();
  }

  /**
   * Holds the picture still, or lets it run again. Nothing else stops.
   * @param {boolean} held
   */
  hold(held) {
    this.#held = held;
    this.#wake();
  }

  #setSeen(seen) {
    this.#seen = seen;
    this.#wake();
  }

  #wake() {
    const run = this.#seen && !this.#held && !document.hidden;
    if (run && this.#request === null) {
      this.#request = requestAnimationFrame((at) => this.#step(at));
    } else if (!run && this.#request !== null) {
      cancelAnimationFrame(this.#request);
      this.#request = null;
    }
  }

  #step(at) {
    this.#request = requestAnimationFrame((next) => this.#step(next));
    const least = this.#stillness.matches ? STILL_FRAME_MS : FRAME_MS;
    if (at - this.#drawnAt < least) return;
    this.#drawnAt = at;
    this.#drawOnce();
  }

  #drawOnce() {
    if (!this.#tracks) return;
    this.#colours ??= this.#readColours();
    const context = this.#canvas.getContext("2d");
    const ratio = window.devicePixelRatio || 1;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, this.#canvas.width, this.#canvas.height);
    const narrow = this.#tracks.time.width < 520;
    const frame = {
      context,
      lanes: this.#lanes,
      tracks: this.#tracks,
      colours: this.#colours,
      now: performance.now(),
      span: this.#period > 20 ? LONG_SPAN_MS : narrow ? Math.min(this.#span, NARROW_SPAN_MS)
        : this.#span,
      narrow,
      still: this.#stillness.matches,
      font: this.#colours.font,
      lookRadius: this.#period < 0.5 ? 2 : this.#period < 2 ? 3 : 5,
    };
    const shown = { journal: this.#journal, looks: this.#looks, spans: this.#spans };
    this.#picture.draw(frame, shown);
  }

  /** Sizes the canvas to the pixels of the screen and finds the tracks under it. */
  #measure() {
    const box = this.#stage.getBoundingClientRect();
    const ratio = window.devicePixelRatio || 1;
    this.#canvas.width = Math.round(box.width * ratio);
    this.#canvas.height = Math.round(box.height * ratio);
    const track = (name) => {
      const found = this.#stage.querySelector(`[data-track="${name}"]`).getBoundingClientRect();
      return new DOMRect(found.x - box.x, found.y - box.y, found.width, found.height);
    };
    const names = [...OTHER_TRACKS, ...this.#lanes.map((lane) => lane.name)];
    this.#tracks = Object.fromEntries(names.map((name) => [name, track(name)]));
    this.#drawOnce();
  }

  #readColours() {
    const style = getComputedStyle(this.#stage);
    const read = (name) => [name, style.getPropertyValue(`--${name}`).trim()];
    return { ...Object.fromEntries(COLOURS.map(read)), font: `12px ${style.fontFamily}` };
  }
}
