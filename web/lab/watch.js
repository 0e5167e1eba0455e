// lab/watch.js: what the server's lab makes possible right now: which lanes can be had, whether
// there is a table of connections, and the one quiet line that says what is missing. The line to
// the lab is lab.js's.

import { find, write } from "../elements.js";
import { needsLab } from "../lane/list.js";
import { say } from "../words/say.js";

/** What to start the server with. */
const LAB_FLAG = "--lab on";
const UDP_FLAG = "--udp 127.0.0.1:0";

/** What is to be said of a state; of the others there is nothing. */
const NOTES = { off: say("connections.laboff"), waiting: say("connections.labwaiting") };

/** Follows the lab. */
export class LabWatch {
  #lab;
  #hasUdp = null;
  #onChange;

  /**
   * @param {import("./lab.js").Lab} lab
   * @param {() => void} onChange
   */
  constructor(lab, onChange) {
    this.#lab = lab;
    this.#onChange = onChange;
    lab.listen("hello", ({ udp }) => {
      this.#hasUdp = udp === true;
      this.#changed();
    });
    lab.listen("down", () => this.#changed());
  }

  /**
   * The server has told its configuration, or has not answered.
   * @param {{lab?: boolean}|null} config
   */
  learned(config) {
    if (config === null) return;
    if (config.lab !== true) this.#lab.turnOff();
    else if (this.#lab.state === "off" || this.#lab.state === "unknown") this.#lab.start();
    else this.#lab.retryNow();
  }

  /** @returns {Record<string, string>} what a lane lacks, by its name; others can be had */
  get missing() {
    if (this.#lab.state === "off") return { tcp: LAB_FLAG, udp: LAB_FLAG };
    return this.#hasUdp === false ? { udp: UDP_FLAG } : {};
  }

  /**
   * Those of the lanes that can run now.
   * @param {string[]} names
   * @returns {string[]}
   */
  usable(names) {
    const { missing } = this;
    const isKnown = this.#hasUdp !== null;
    return names.filter((name) => !missing[name] && (isKnown || !needsLab(name)));
  }

  /**
   * Resolves when the lab has said its first word, or cannot, or time is up.
   * @param {number} milliseconds
   * @returns {Promise<void>}
   */
  firstWord(milliseconds) {
    if (this.#lab.state === "off" || this.#lab.state === "unknown") return Promise.resolve();
    return new Promise((resolve) => {
      setTimeout(resolve, milliseconds);
      this.#lab.listen("hello", resolve);
      this.#lab.listen("down", resolve);
    });
  }

  #changed() {
    const { state } = this.#lab;
    const note = NOTES[state] ?? "";
    write(find("lab-note"), note);
    find("lab-note").hidden = note === "";
    find("connections-off").hidden = state !== "off";
    find("connections-invitation").hidden = state === "off";
    this.#onChange();
  }
}
