// trace/trace.js: the section "The wire": every packet of one way of being told, as it crosses. The
// server's lab captures and tells; where it may not, a recording is shown and labelled as one.
// It draws nothing itself (drawing.js) and holds no connection (lab/lab.js).

import { count } from "../format.js";
import { make, write } from "../elements.js";
import { laneOf, needsLab } from "../lane/list.js";
import { ConnectionDrawing } from "./drawing.js";
import { recording } from "./recorded.js";
import { PHASES, Story } from "./story.js";
import { WAYS, sentence } from "./words.js";

/** Within this many pixels of its end the list follows what comes. */
const FOLLOW_PX = 48;

/** So many further words of the lab's have to come until it surely has heard what it was told: the
 * first may have been under way before. Only then is a lane to begin anew, or its handshake would
 * be missed. */
const WORDS_UNTIL_HEARD = 2;

/** What is shown before anybody has chosen, and as a recording. */
const FIRST_WAY = "ws";

const OFF = "The server's lab is off, so packets cannot be shown live. --lab on switches it on.";

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
    else panel.unavailable(howToCapture());
  });
  lab.listen("down", ({ why }) => {
    if (why === "off") panel.unavailable([OFF]);
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
    this.#notice(`Not connected to the server's lab: ${why}.`);
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
    if (this.#isWatching) this.#parts.state.textContent = `The lab says: ${error.slice(0, 200)}`;
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
    this.#parts.state.textContent = "Listening. Packets appear here as they cross the wire.";
    this.#ask(this.#way);
    this.#untilHeard = WORDS_UNTIL_HEARD;
  }

  #replay() {
    const { recorded, list } = this.#parts;
    const more = this.#isLive ? " Choose a way above to watch your own packets." : "";
    recorded.textContent = `Recorded by doorbell trace: one subscription and one message over ` +
      `${laneOf(this.#way).title}.${more}`;
    this.#draw(recording(this.#way));
    list.scrollTop = 0;
  }

  #again() {
    if (!this.#reconnect(this.#way)) {
      this.#parts.state.textContent = "This way keeps its connection: the browser does not let a " +
        "page close it.";
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
      const { packets, bytes } = this.#story.sum(phase);
      const { box, sum, says } = this.#parts.phases[phase];
      const noun = packets === 1 ? "packet" : "packets";
      const words = `${count(packets)} ${noun}, ${count(bytes)}\u00a0B`;
      sum.textContent = packets === 0 ? "none" : words;
      box.classList.toggle("is-empty", packets === 0);
      write(says, sentence(this.#way ?? FIRST_WAY, phase));
    }
  }
}

/** What stands at the other end of a connection to the server. */
function nearEnd(way) {
  return needsLab(way) ? "subscriber" : "browser";
}

/** What would let the server capture. */
function howToCapture() {
  return ["This server does not capture. To watch your own packets, start it with ",
    make("code", {}, "sudo doorbell-server --trace"), ", or give it the right once with ",
    make("code", {}, 'sudo setcap cap_net_raw+ep "$(command -v doorbell-server)"'),
    " and start it with ", make("code", {}, "--trace"), "."];
}

/** The boxes of the section. */
function build(section) {
  const title = make("h2", { id: "trace-title" }, "Every packet on the wire");
  const head = make("div", { class: "section-head" }, title, make("p", { class: "note" },
    "Times are between packets; bytes with the headers of IP and TCP."));
  const ways = make("fieldset", { class: "trace-ways" }, make("legend", {}, "Watch"),
    ...WAYS.map((way) => radio(way, laneOf(way).title)));
  const again = button("trace-again", "Hang up and call again");
  const clear = button("trace-clear", "Clear");
  const controls = make("div", { class: "trace-controls" }, ways, again, clear);
  const notice = make("p", { id: "trace-notice", class: "notice" });
  const recorded = make("p", { id: "trace-recorded", class: "trace-recorded" });
  const state = make("p", { id: "trace-state", class: "note trace-state", role: "status" });
  const phases = Object.fromEntries(PHASES.map((phase) => [phase, phaseBox(phase)]));
  const strip = make("dl", { class: "trace-phases" }, ...PHASES.map((phase) => phases[phase].box));
  const list = make("div", { id: "trace-list", class: "trace-list", tabindex: "0", role: "region",
    "aria-label": "Packets, oldest first" });
  const udp = make("p", { class: "note" }, "UDP is not among them: it has no connection to draw. " +
    "Each datagram is one packet, unannounced and unacknowledged.");
  const box = make("div", { class: "trace" }, controls, notice, recorded, strip, state, list, udp);
  section.setAttribute("aria-labelledby", "trace-title");
  section.replaceChildren(head, box);
  return { box, ways, again, clear, notice, recorded, state, phases, list };
}

function phaseBox(phase) {
  const sum = make("dd", { id: `trace-${phase}-sum`, class: "trace-phase-sum" });
  const says = make("dd", { class: "trace-phase-says" });
  const kind = `trace-phase phase-${phase}`;
  const box = make("div", { class: kind }, make("dt", {}, phase), sum, says);
  return { box, sum, says };
}

function radio(way, name) {
  const attributes = { type: "radio", name: "trace-way", value: way, id: `trace-way-${way}` };
  return make("label", { class: "trace-way" }, make("input", attributes), make("span", {}, name));
}

function button(id, words) {
  return make("button", { id, type: "button", class: "quiet" }, words);
}
