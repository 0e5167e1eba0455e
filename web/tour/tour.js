// tour/tour.js: the guided tour: six steps that begin with what a socket is. The address says which
// step is open (#tour-3), so links, history and keys all do the same. Words, plan, drawings and
// noticing are in the files beside it; this one opens, closes and moves.

import { INTERVALS, RATES } from "../settings.js";
import { make } from "../elements.js";
import { STEPS } from "./steps.js";
import { StepView, noteOf } from "./view.js";
import { Watch } from "./watch.js";
import { WORDS, nodesOf } from "../words/say.js";

const ADDRESS = /^#tour-([1-9])$/;

/** How long the part of the page that a step speaks of stays marked after a visit to it. */
const MARK_MS = 4000;

/** Keys that mean something else inside these. */
const OWN_KEYS = "input, textarea, select, pre";

/**
 * Puts the tour on the page, and lets it hear the server's lab.
 * @param {HTMLElement} section
 * @param {string} topic
 * @param {import("../lab/lab.js").Lab} lab
 * @returns {Tour}
 */
export function mountTour(section, topic, lab) {
  const tour = new Tour(section, { topic, page: lab.page, location, listen: {} });
  const { watch } = tour;
  lab.listen("hello", ({ trace }) => tour.setLab({ isOn: true, captures: trace === true }));
  lab.listen("down", () => tour.setLab({ isOn: false, captures: false }));
  lab.listen("table", ({ rows }) => watch.table(rows));
  lab.listen("wire", ({ lanes }) => watch.wire(lanes));
  lab.listen("trace", (told) => watch.trace(told));
  return tour;
}

/** The tour on the page. */
export class Tour {
  #section;
  #ground;
  #lab = { isOn: null, captures: false };
  #watch = new Watch((task, state) => this.#noticed(task, state));
  #step = null;
  #view = null;
  #visited = 0;
  #isFinished = false;
  #dock = make("aside", { class: "tour-dock", hidden: "" });
  #unmark = () => {};

  /**
   * @param {HTMLElement} section
   * @param {import("./steps.js").Ground} ground
   */
  constructor(section, ground) {
    this.#section = section;
    this.#ground = ground;
    document.body.append(this.#dock);
    section.addEventListener("keydown", (event) => this.#key(event));
    addEventListener("hashchange", () => this.#follow(true));
    document.addEventListener("submit", (event) => this.#rang(event), true);
    document.addEventListener("input", () => this.#readSliders());
    new IntersectionObserver((changes) => {
      this.#dock.hidden = this.#step === null || changes.at(-1).isIntersecting;
    }).observe(section);
    this.#show();
    this.#follow(false);
    // The browser goes to the place that an address names by itself, and takes the keyboard away.
    const arrive = () => setTimeout(() => this.#arrive());
    if (!this.#step) return;
    if (document.readyState === "complete") arrive();
    else addEventListener("load", arrive, { once: true });
  }

  /** @returns {Watch} what hears of messages and of the lab */
  get watch() {
    return this.#watch;
  }

  /**
   * The server has said where it listens.
   * @param {{listen?: object}|null} config
   */
  learned(config) {
    this.#ground = { ...this.#ground, listen: config?.listen ?? {} };
    this.#show();
    this.#readSliders();
  }

  /**
   * A lane has brought a message, or its delay has become known.
   * @param {import("../journal.js").Entry} entry
   */
  heard({ event, delay }) {
    if (typeof event?.message === "string") this.#watch.heard(event.message, delay);
  }

  /**
   * What the server's lab can show.
   * @param {{isOn: boolean|null, captures: boolean}} lab null: not known yet
   */
  setLab(lab) {
    if (JSON.stringify(lab) === JSON.stringify(this.#lab)) return;
    this.#lab = lab;
    this.#step?.tasks.forEach(({ key }) => this.#view.show(key, this.#watch.stateOf(key)));
    this.#showDock();
  }

  /** Goes where the address points. */
  #follow(moves) {
    const number = Number(ADDRESS.exec(location.hash)?.[1] ?? 0);
    const step = STEPS[number - 1];
    if (!step || step === this.#step) return;
    this.#step = step;
    this.#visited = number;
    this.#watch.open(step.tasks.map((task) => task.key));
    this.#show();
    this.#readSliders();
    if (moves) this.#arrive();
  }

  /** Brings the step into view, and the keyboard to its title. */
  #arrive() {
    const { top } = this.#section.getBoundingClientRect();
    if (top < 0 || top > innerHeight / 3) this.#section.scrollIntoView({ block: "start" });
    document.getElementById("tour-title").focus({ preventScroll: true });
  }

  #close() {
    this.#step = null;
    this.#unmark();
    history.replaceState(null, "", location.pathname + location.search);
    this.#show();
    this.#section.querySelector(".tour-start").focus();
  }

  #finish() {
    this.#visited = 0;
    this.#isFinished = true;
    this.#close();
  }

  #go(by) {
    const number = STEPS.indexOf(this.#step) + 1 + by;
    if (number >= 1 && number <= STEPS.length) location.hash = `#tour-${number}`;
  }

  #key(event) {
    if (!this.#step || event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key === "Escape") this.#close();
    if (event.target.closest(OWN_KEYS)) return;
    if (event.key === "ArrowRight") this.#go(1);
    if (event.key === "ArrowLeft") this.#go(-1);
  }

  #rang(event) {
    const box = event.target.querySelector?.("#publish-text");
    if (box) this.#watch.rang(box.value.trim() || box.placeholder);
  }

  #readSliders() {
    const at = (id) => document.getElementById(id)?.value ?? 0;
    this.#watch.sliders(INTERVALS[at("interval")], RATES[at("rate")]);
  }

  #noticed(task, state) {
    this.#view?.show(task, state);
    this.#showSteps();
    this.#showDock();
  }

  /** Builds what is to be seen; the keyboard stays where it was, if that is still there. */
  #show() {
    const { frame } = WORDS.tour;
    const focused = this.#section.contains(document.activeElement) && document.activeElement.id;
    this.#section.setAttribute("aria-label", frame.label);
    this.#section.classList.toggle("is-open", this.#step !== null);
    this.#section.replaceChildren(...(this.#step ? this.#open() : this.#invitation()));
    this.#showSteps();
    this.#showDock();
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  }

  #invitation() {
    const { frame } = WORDS.tour;
    const again = this.#isFinished ? frame.again : frame.invite;
    const words = this.#visited ? frame.resume : again;
    const start = make("a", { class: "tour-start", href: `#tour-${this.#visited || 1}` }, words);
    const isKnown = this.#visited > 0 || this.#isFinished;
    const length = isKnown ? "" : make("p", { class: "note" }, frame.length);
    return [make("div", { class: "tour-invite" }, start, length)];
  }

  #open() {
    const { frame } = WORDS.tour;
    const number = STEPS.indexOf(this.#step) + 1;
    const close = make("button", { class: "quiet tour-close", type: "button" }, "✕");
    close.setAttribute("aria-label", frame.close);
    close.addEventListener("click", () => this.#close());
    const steps = make("ol", { class: "tour-steps" });
    const nav = make("nav", { "aria-label": frame.steps }, steps);
    const place = { number, count: STEPS.length };
    const look = () => this.#watch.looked();
    this.#view = new StepView(this.#step, place, this.#ground, this.#lab, look);
    for (const { key } of this.#step.tasks) this.#view.show(key, this.#watch.stateOf(key));
    const head = make("div", { class: "tour-head" }, nav, close);
    return [make("div", { class: "card tour-card" }, head, this.#view.element, this.#foot(number))];
  }

  #foot(number) {
    const { frame, steps } = WORDS.tour;
    const show = make("button", { type: "button", id: "tour-show" }, steps[this.#step.key].show);
    show.addEventListener("click", () => this.#visit());
    const step = (words, to, kind) =>
      make("a", { class: `tour-move ${kind}`, href: `#tour-${to}` }, words);
    const back = number > 1 ? step(`← ${frame.previous}`, number - 1, "is-back") : "";
    let next = step(`${frame.next} →`, number + 1, "is-next");
    if (number === STEPS.length) {
      next = make("button", { class: "tour-move is-next", type: "button" }, frame.finish);
      next.addEventListener("click", () => this.#finish());
    }
    return make("div", { class: "tour-foot" }, make("span", {}, back), show, next);
  }

  #showSteps() {
    const list = this.#section.querySelector(".tour-steps");
    if (!list) return;
    const items = STEPS.map((step, index) => {
      const isDone = step.tasks.some((task) => this.#watch.stateOf(task.key).stage === "done");
      const { name } = WORDS.tour.steps[step.key];
      const mark = make("span", { class: "tour-number" }, isDone ? "✓" : String(index + 1));
      const title = make("span", { class: "tour-name" }, name);
      const link = make("a", { href: `#tour-${index + 1}` }, mark, title);
      const words = [`${index + 1}`, name, isDone ? WORDS.tour.frame.done : ""].filter(Boolean);
      link.setAttribute("aria-label", words.join(", "));
      if (step === this.#step) link.setAttribute("aria-current", "step");
      return make("li", { class: isDone ? "is-done" : "" }, link);
    });
    const focused = [...list.querySelectorAll("a")].indexOf(document.activeElement);
    list.replaceChildren(...items);
    if (focused >= 0) items[focused].firstElementChild.focus({ preventScroll: true });
  }

  /** The task goes along at the edge of the window while the tour is out of sight. */
  #showDock() {
    if (!this.#step) {
      this.#dock.hidden = true;
      return;
    }
    const { frame, steps } = WORDS.tour;
    const isOpen = (task) => this.#watch.stateOf(task.key).stage !== "done";
    const task = this.#step.tasks.find(isOpen) ?? this.#step.tasks.at(-1);
    const state = this.#watch.stateOf(task.key);
    const { text } = steps[this.#step.key].tasks[task.key];
    const note = noteOf(this.#step, task, state, this.#lab);
    const shown = state.stage === "waiting" ? text : note;
    const back = make("button", { class: "quiet", type: "button" }, frame.back);
    back.addEventListener("click", () => this.#arrive());
    const kind = state.stage === "waiting" ? "" : "tour-note";
    const words = make("p", { class: kind, "data-stage": state.stage }, ...nodesOf(shown));
    this.#dock.setAttribute("aria-label", frame.label);
    this.#dock.replaceChildren(words, back);
  }

  /** Goes to the part of the page that the step speaks of, and marks it for a while. */
  #visit() {
    const found = this.#step.places.map((id) => document.getElementById(id)).find(Boolean);
    // A slider alone would leave out its name and its neighbours.
    const place = found?.closest(".controls") ?? found;
    if (!place) return;
    this.#unmark();
    place.classList.add("tour-marked");
    const timer = setTimeout(() => this.#unmark(), MARK_MS);
    this.#unmark = () => {
      clearTimeout(timer);
      place.classList.remove("tour-marked");
    };
    place.scrollIntoView({ block: place.offsetHeight > innerHeight * 0.8 ? "start" : "center" });
  }
}
