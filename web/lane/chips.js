// lane/chips.js: the row of contenders to choose from. A chip is a checkbox; one that cannot be
// chosen says what is missing. It starts and stops nothing itself.

import { find, make, write } from "../elements.js";
import { LANES } from "./list.js";

/** The chips of all lanes. */
export class Chips {
  #boxes = new Map();
  #onChange;

  /**
   * @param {HTMLElement} place
   * @param {string[]} chosen
   * @param {(names: string[]) => void} onChange
   */
  constructor(place, chosen, onChange) {
    this.#onChange = onChange;
    for (const lane of LANES) {
      const id = `choose-${lane.name}`;
      const box = make("input", { id, type: "checkbox" });
      box.checked = chosen.includes(lane.name);
      box.addEventListener("change", () => this.#changed(box));
      const why = make("code", { class: "chip-why", id: `${id}-why`, hidden: "" });
      place.append(make("label", { class: `chip is-${lane.name}`, for: id }, box, lane.title, why));
      this.#boxes.set(lane.name, box);
    }
  }

  /**
   * Says which lanes can be had.
   * @param {Record<string, string>} missing what a lane lacks, by name; others can be had
   */
  setMissing(missing) {
    for (const [name, box] of this.#boxes) {
      const why = find(`${box.id}-why`);
      const lacks = missing[name] ?? "";
      box.disabled = lacks !== "";
      why.hidden = lacks === "";
      write(why, lacks);
    }
  }

  /** @returns {string[]} what is wanted, in the order of the page, to be had or not */
  get chosen() {
    return [...this.#boxes].filter(([, box]) => box.checked).map(([name]) => name);
  }

  /** One lane stays: without any there would be nothing to see. */
  #changed(box) {
    const usable = [...this.#boxes.values()].some((one) => one.checked && !one.disabled);
    if (!usable) box.checked = true;
    this.#onChange(this.chosen);
  }
}
