// trace/drawing.js: draws a connection as a list of steps between two lifelines, and goes on with
// it as segments come. It is a list of readable text for those who do not see arrows. It asks
// nobody for anything: trace.js hands it what there is.

import { make } from "../elements.js";
import { SILENCE_US, sumOf } from "./story.js";
import { cost, gap, numbers, remarks } from "./words.js";
import { say } from "../words/say.js";

const SVG = "http://www.w3.org/2000/svg";

/** The drawing of one connection. */
export class ConnectionDrawing {
  #way;
  #near;
  #connection;
  #drawn = 0;
  #run = null;
  #told = "";
  #list = make("ol", { class: "trace-runs" });
  #remarks = make("div", { class: "trace-remarks note" });

  /**
   * @param {string} way
   * @param {string} near who is at the client's end
   * @param {import("./story.js").Connection} connection
   */
  constructor(way, near, connection) {
    this.#way = way;
    this.#near = near;
    this.#connection = connection;
    this.element = make("section", { class: "trace-connection" });
    const words = say("trace.connection", { number: connection.number });
    const title = make("h3", { class: "only-spoken" }, words);
    this.element.append(title, this.#ends(), this.#list, this.#remarks);
    this.element.dataset.connection = connection.number;
  }

  /**
   * Draws what has come since the last time.
   * @param {boolean} anew whether to begin from the first segment again
   */
  grow(anew = false) {
    if (anew) {
      this.#drawn = 0;
      this.#run = null;
      this.#list.replaceChildren();
    }
    const { steps, published } = this.#connection;
    for (const step of steps.slice(this.#drawn)) {
      let before = steps[this.#drawn - 1]?.at_us ?? step.at_us;
      if (published !== null && before < published && published <= step.at_us) {
        if (published - before >= SILENCE_US) this.#silence(published - before);
        this.#pause(say("trace.published"), "is-event");
        before = published;
      }
      this.#add(step, this.#drawn === 0 ? null : step.at_us - before);
      this.#drawn += 1;
    }
    this.#tell();
  }

  #ends() {
    const { client, server } = this.#connection;
    const row = make("div", { class: "trace-ends" });
    const ends = make("div", { class: "trace-lifelines" });
    ends.append(end(nameOf(this.#near), client), end(nameOf("server"), server));
    row.append(span("trace-band"), span("trace-time", say("trace.after")), ends,
      span("trace-bytes", say("trace.bytes")));
    return row;
  }

  #add(step, since) {
    const isSilent = since >= SILENCE_US;
    if (isSilent) this.#silence(since);
    if (this.#run?.phase !== step.phase) this.#begin(step.phase);
    this.#run.steps.push(step);
    this.#run.list.append(this.#step(step, isSilent ? null : since));
    this.#run.sum.textContent = cost(sumOf(this.#run.steps));
  }

  #begin(phase) {
    const item = make("li", { class: `trace-run phase-${phase}` });
    const band = make("p", { class: "trace-band" });
    const sum = span("trace-sum");
    const list = make("ol", { class: "trace-steps" });
    band.append(make("strong", {}, say(`trace.phases.${phase}`)), " ", sum);
    item.append(band, list);
    this.#list.append(item);
    this.#run = { phase, list, sum, steps: [] };
  }

  #silence(microseconds) {
    this.#pause(say("trace.silence", { time: gap(microseconds) }), "is-silence");
  }

  /** What is no segment; the bands are parted by it. */
  #pause(words, kind) {
    const item = make("li", { class: `trace-pause ${kind}` });
    const lane = make("div", { class: "trace-lifelines" });
    lane.append(span("trace-pause-words", words));
    item.append(span("trace-band"), span("trace-time"), lane,
      span("trace-bytes"));
    this.#list.append(item);
    this.#run = null;
  }

  #step(step, since) {
    const isClient = step.from === "client";
    const item = make("li", { class: `trace-step from-${step.from}` });
    item.classList.toggle("is-ack", step.words === "ACK");
    const ends = [nameOf(this.#near), nameOf("server")];
    const [from, to] = isClient ? ends : ends.reverse();
    const lane = make("div", { class: "trace-lifelines" });
    const said = span("trace-said");
    const words = span("trace-words", step.words);
    said.append(span("only-spoken", say("trace.fromto", { from, to })), words, " ",
      span("trace-numbers", numbers(step)));
    lane.append(said, arrow());
    const time = span("trace-time", since === null ? "" : `+${gap(since)}`);
    const bytes = span("trace-bytes", String(step.wire_bytes));
    bytes.append(span("only-spoken", ` ${say("trace.bytes")}`));
    item.append(time, lane, bytes);
    return item;
  }

  #tell() {
    const lines = remarks(this.#way, this.#connection);
    if (lines.join() === this.#told) return;
    this.#told = lines.join();
    this.#remarks.replaceChildren(...lines.map((line) => make("p", {}, line)));
  }
}

function nameOf(side) {
  return say(`trace.ends.${side}`);
}

function end(name, address) {
  const box = span("trace-end");
  box.append(make("strong", {}, name), " ", make("code", {}, address));
  return box;
}

/** A shaft that sinks, because it takes time to arrive; CSS turns it round and adds its head. */
function arrow() {
  const drawing = document.createElementNS(SVG, "svg");
  drawing.setAttribute("class", "trace-arrow");
  drawing.setAttribute("viewBox", "0 0 100 10");
  drawing.setAttribute("preserveAspectRatio", "none");
  drawing.setAttribute("aria-hidden", "true");
  const shaft = document.createElementNS(SVG, "path");
  shaft.setAttribute("d", "M0 1L100 9");
  shaft.setAttribute("vector-effect", "non-scaling-stroke");
  drawing.append(shaft);
  const place = span("trace-shaft");
  place.append(drawing);
  return place;
}

function span(kind, words = "") {
  return make("span", { class: kind }, words);
}
