// tour/view.js: one step of the tour as nodes: text, figure, tasks with their lines and what was
// noticed. It builds and updates; tour.js decides which step and when.

import { addressFigure } from "./bytes.js";
import { figure } from "./figures.js";
import { networkOrder } from "./address.js";
import { copyButton } from "../copy.js";
import { make } from "../elements.js";
import { linesOf } from "./steps.js";
import { splitAddress } from "../terminal.js";
import { WORDS, fill, nodesOf } from "../words/say.js";

/** Addresses to look at in the first step, besides the server's own. */
const EXAMPLES = ["192.0.2.7:443", "[2001:db8::7]:80"];
const OWN_SOCKET = "127.0.0.1:1989";

/** A step on the page. */
export class StepView {
  #step;
  #ground;
  #lab;
  /** @type {Map<string, {item: HTMLElement, note: HTMLElement, results: HTMLElement[]}>} */
  #tasks = new Map();

  /**
   * @param {import("./steps.js").Step} step
   * @param {{number: number, count: number}} place among the steps
   * @param {import("./steps.js").Ground} ground
   * @param {{isOn: boolean, captures: boolean}} lab what the server can show
   * @param {() => void} onLook when a valid address was looked at
   */
  constructor(step, place, ground, lab, onLook) {
    this.#step = step;
    this.#ground = ground;
    this.#lab = lab;
    const { frame, drawing: labels } = WORDS.tour;
    const words = WORDS.tour.steps[step.key];
    const port = networkOrder(this.#port());
    const title = make("h2", { id: "tour-title", tabindex: "-1" }, words.title);
    const where = fill(frame.position, { step: place.number, steps: place.count });
    const tasks = step.tasks.map((task) => this.#task(task, onLook));
    const paragraphs = words.paragraphs.map((one) => make("p", {}, ...nodesOf(fill(one, port))));
    const text = make("div", { class: "tour-text" }, make("p", { class: "note" }, where), title,
      ...paragraphs);
    const caption = fill(words.figure, port);
    const drawing = make("figure", { class: "tour-figure" },
      figure(step.figure, { ...labels, ...port }, caption), make("figcaption", {}, caption));
    const doing = make("div", { class: "tour-do" }, make("h3", {}, frame.do),
      make("ul", { class: "tour-tasks" }, ...tasks));
    const attributes = { id: `tour-${place.number}`, "aria-labelledby": "tour-title" };
    this.element = make("article", { class: "tour-step", ...attributes }, text, drawing, doing);
  }

  /**
   * Shows what was noticed of a task.
   * @param {string} key
   * @param {import("./watch.js").TaskState} state
   */
  show(key, state) {
    const shown = this.#tasks.get(key);
    if (!shown) return;
    const task = this.#step.tasks.find((one) => one.key === key);
    const words = noteOf(this.#step, task, state, this.#lab);
    shown.item.dataset.stage = state.stage;
    if (shown.note.textContent !== words) shown.note.replaceChildren(...nodesOf(words));
    const { counted } = WORDS.tour.steps[this.#step.key].tasks[key];
    shown.results.forEach((line, index) => {
      const result = state.results?.[index];
      line.textContent = result ? fill(counted, result) : "";
    });
  }

  #task(task, onLook) {
    const { frame, steps } = WORDS.tour;
    const words = steps[this.#step.key].tasks[task.key];
    const id = `tour-${task.key}`;
    const note = make("p", { class: "tour-note", id: `${id}-note`, role: "status" });
    const asked = make("p", {}, ...nodesOf(words.text));
    const item = make("li", { class: "tour-task", id }, asked);
    const results = [];
    const lines = linesOf(task, this.#ground);
    if (lines === null) {
      const missing = task.door === "udp" ? frame.nodatagrams : frame.nodoor;
      item.append(make("p", { class: "note" }, ...nodesOf(missing)));
    } else {
      for (const line of lines) {
        results.push(make("p", { class: "tour-result" }));
        item.append(lineBox(line), results.at(-1));
      }
    }
    if (task.key === "bytes") item.append(addressFigure(this.#offer(), onLook));
    if (lines !== null) item.append(note);
    this.#tasks.set(task.key, { item, note, results });
    return item;
  }

  /** The port that the server has, or the usual one. */
  #port() {
    const { listen, location } = this.#ground;
    return Number((splitAddress(listen.tcp, location) ?? splitAddress(OWN_SOCKET, location)).port);
  }

  #offer() {
    const { tcp, unix } = this.#ground.listen;
    const own = tcp ?? OWN_SOCKET;
    return { first: own, examples: [own, ...EXAMPLES, unix].filter(Boolean) };
  }
}

/**
 * What to say of a task: what was noticed, or why nothing can be.
 * @param {import("./steps.js").Step} step
 * @param {import("./steps.js").Task} task
 * @param {import("./watch.js").TaskState} state
 * @param {{isOn: boolean|null, captures: boolean}} lab null: not known yet
 * @returns {string}
 */
export function noteOf(step, task, state, lab) {
  const words = WORDS.tour.steps[step.key].tasks[task.key];
  if (state.stage === "waiting" && task.needsLab) {
    if (lab.isOn === false) return WORDS.tour.frame.unseen;
    if (words.unseen && lab.isOn && !lab.captures) return words.unseen;
  }
  return fill(words[state.stage] ?? words.waiting, state.values);
}

function lineBox(line) {
  const code = make("code", {}, line);
  return make("div", { class: "tour-line" }, code, copyButton(line, code, line, () => {}));
}
