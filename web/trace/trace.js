// trace/trace.js: the section "The wire": every packet of one way of being told, as it crosses. The
// server's lab captures and tells; where it may not, a recording is shown and labelled as one.
// It draws nothing itself (drawing.js) and holds no connection (lab/lab.js).

import { make, write } from "../elements.js";
import { laneOf, needsLab } from "../lane/list.js";
import { ConnectionDrawing } from "./drawing.js";
import { recording } from "./recorded.js";
import { PHASES, Story } from "./story.js";
import { WAYS, cost, sentence } from "./words.js";
import { say, sayNodes } from "../words/say.js";

/** Within this many pixels of its end the list follows what comes. */
const FOLLOW_PX = 48;

/** So many further words of the lab's have to come until it surely has heard what it was told: the
 * first may have been under way before. Only then is a lane to begin anew, or its handshake would
 * be missed. */
const WORDS_UNTIL_HEARD = 2;

/** What is shown before anybody has chosen, and as a recording. */
const FIRST_WAY = "ws";

/**
 * Puts the section on the page, and lets the server's lab fill it.
 * @param {HTMLElement} section
 * @param {import("../lab/lab.js").Lab} lab
 * @param {(way: string) => boolean} reconnect begins a way's connection anew, if it can
 */
export function mountTrace(section, lab, reconnect) {
  const panel = new TracePanel(section, { ask: (way) => lab.say({ trace: way }), reconnect });
  lab.listen("hello", (hello) => {
    if (hello.trace) panel.available();
    else panel.unavailable(sayNodes("trace.capture"));
  });
  lab.listen("down", ({ why }) => {
    if (why === "off") panel.unavailable(sayNodes("trace.off"));
    else panel.interrupted(why);
  });
  lab.listen("trace", (told) => panel.take(told));
  lab.listen("wire", () => panel.tick());
  lab.listen("error", ({ error }) => panel.refused(String(error)));
}

/** The section, from choosing a way to drawing its packets. */
export class TracePanel {
  #ask;
  #reconnect;
  #way = null;
  #isLive = false;
  #untilHeard = 0;
  #story = new Story();
  /** @type {Map<number, ConnectionDrawing>} */
  #drawings = new Map();
  #parts;

  /**
   * @param {HTMLElement} section
   * @param {object} lab
   * @param {(way: string|null) => void} lab.ask tells the server what to capture
   * @param {(way: string) => boolean} lab.reconnect begins a way's connection anew, if it can
   */
  constructor(section, { ask, reconnect }) {
    this.#ask = ask;
    this.#reconnect = reconnect;
    this.#parts = build(section);
    const { ways, again, clear } = this.#parts;
    ways.addEventListener("change", (event) => this.#choose(event.target.value));
    again.addEventListener("click", () => this.#again());
    clear.addEventListener("click", () => this.#restart());
    this.unavailable([]);
  }

  /** The server captures: a way that is chosen is watched live. */
  available() {
    this.#isLive = true;
    this.#parts.notice.hidden = true;
    this.#choose(this.#checked());
  }

  /** The lab's line is broken: what was drawn stays. @param {string} why */
  interrupted(why) {
    this.#notice(say("trace.away", { why }));
  }

  /**
   * The server does not capture: a recording takes its place.
   * @param {(Node|string)[]} reason
   */
  unavailable(reason) {
    this.#isLive = false;
    this.#notice(...reason);
    this.#choose(this.#checked());
  }

  /** The lab cannot do what it was told. @param {string} error in its own words */
  refused(error) {
    if (!this.#isWatching) return;
    this.#parts.state.textContent = say("trace.says", { error: error.slice(0, 200) });
  }

  /**
   * Segments of a connection, as the lab tells them.
   * @param {object} told
   */
  take(told) {
    if (!this.#isWatching || told.lane !== this.#way) return;
    this.#parts.state.textContent = "";
    this.#draw(told);
  }

  /** The lab has said another word. */
  tick() {
    if (this.#untilHeard === 0) return;
    this.#untilHeard -= 1;
    if (this.#untilHeard === 0 && this.#isWatching) this.#reconnect(this.#way);
  }

  get #isWatching() {
    return this.#isLive && this.#checked() !== null;
  }

  #checked() {
    return this.#parts.ways.querySelector("input:checked")?.value ?? null;
  }

  #notice(...content) {
    this.#parts.notice.replaceChildren(...content);
    this.#parts.notice.hidden = content.length === 0;
  }

  #choose(way) {
    const isLive = this.#isWatching;
    const { box, recorded, again, clear, state } = this.#parts;
    box.dataset.live = String(isLive);
    recorded.hidden = isLive;
    again.hidden = clear.hidden = !isLive;
    this.#way = way ?? FIRST_WAY;
    state.textContent = "";
    this.#restart();
    if (isLive) this.#watch();
    else this.#replay();
  }

  #watch() {
    this.#parts.state.textContent = say("trace.listening");
    this.#ask(this.#way);
    this.#untilHeard = WORDS_UNTIL_HEARD;
  }

  #replay() {
    const { recorded, list } = this.#parts;
    const words = [say("trace.recorded", { lane: laneOf(this.#way).title })];
    if (this.#isLive) words.push(say("trace.choose"));
    recorded.textContent = words.join(" ");
    this.#draw(recording(this.#way));
    list.scrollTop = 0;
  }

  #again() {
    if (!this.#reconnect(this.#way)) {
      this.#parts.state.textContent = say("trace.keeps");
    }
  }

  #restart() {
    this.#story = new Story();
    this.#drawings.clear();
    this.#parts.list.replaceChildren();
    this.#sum();
  }

  #draw(told) {
    const { list } = this.#parts;
    const follows = list.scrollTop + list.clientHeight >= list.scrollHeight - FOLLOW_PX;
    const { connection, isNew, isChanged, gone } = this.#story.take(told);
    if (isNew) {
      const drawing = new ConnectionDrawing(this.#way, nearEnd(this.#way), connection);
      this.#drawings.set(connection.number, drawing);
      list.append(drawing.element);
    }
    if (gone) {
      this.#drawings.get(gone.number).element.remove();
      this.#drawings.delete(gone.number);
    }
    this.#drawings.get(connection.number).grow(isChanged);
    this.#sum();
    if (follows) list.scrollTop = list.scrollHeight;
  }

  #sum() {
    for (const phase of PHASES) {
      const total = this.#story.sum(phase);
      const { box, sum, says } = this.#parts.phases[phase];
      sum.textContent = total.packets === 0 ? say("trace.none") : cost(total);
      box.classList.toggle("is-empty", total.packets === 0);
      write(says, sentence(this.#way ?? FIRST_WAY, phase));
    }
  }
}

/** What stands at the other end of a connection to the server. */
function nearEnd(way) {
  return needsLab(way) ? "subscriber" : "browser";
}

/** The boxes of the section. */
function build(section) {
  const title = make("h2", { id: "trace-title" }, say("trace.title"));
  const head = make("div", { class: "section-head" }, title, make("p", { class: "note" },
    say("trace.note")));
  const ways = make("fieldset", { class: "trace-ways" }, make("legend", {}, say("trace.watch")),
    ...WAYS.map((way) => radio(way, laneOf(way).title)));
  const again = button("trace-again", say("trace.again"));
  const clear = button("trace-clear", say("trace.clear"));
  const controls = make("div", { class: "trace-controls" }, ways, again, clear);
  const notice = make("p", { id: "trace-notice", class: "notice" });
  const recorded = make("p", { id: "trace-recorded", class: "trace-recorded" });
  const state = make("p", { id: "trace-state", class: "note trace-state", role: "status" });
  const phases = Object.fromEntries(PHASES.map((phase) => [phase, phaseBox(phase)]));
  const strip = make("dl", { class: "trace-phases" }, ...PHASES.map((phase) => phases[phase].box));
  const list = make("div", { id: "trace-list", class: "trace-list", tabindex: "0", role: "region",
    "aria-label": say("trace.list") });
  const udp = make("p", { class: "note" }, say("trace.udp"));
  const box = make("div", { class: "trace" }, controls, notice, recorded, strip, state, list, udp);
  section.setAttribute("aria-labelledby", "trace-title");
  section.replaceChildren(head, box);
  return { box, ways, again, clear, notice, recorded, state, phases, list };
}

function phaseBox(phase) {
  const sum = make("dd", { id: `trace-${phase}-sum`, class: "trace-phase-sum" });
  const says = make("dd", { class: "trace-phase-says" });
  const kind = `trace-phase phase-${phase}`;
  const box = make("div", { class: kind }, make("dt", {}, say(`trace.phases.${phase}`)), sum, says);
  return { box, sum, says };
}

function radio(way, name) {
  const attributes = { type: "radio", name: "trace-way", value: way, id: `trace-way-${way}` };
  return make("label", { class: "trace-way" }, make("input", attributes), make("span", {}, name));
}

function button(id, words) {
  return make("button", { id, type: "button", class: "quiet" }, words);
}
