// app/status.js: the state of the connection in words, with the seconds to the next attempt, and a
// notice where somebody has to do something about it.

import { find, make, write } from "../elements.js";
import { say } from "./language.js";

/** The words of the connection. */
export class Status {
  /** @type {import("./live.js").State} */
  #state = { kind: "idle" };
  #timer = null;
  #signIn;

  /** @param {() => void} signIn leads to where a token is given */
  constructor(signIn) {
    this.#signIn = signIn;
  }

  /** @param {import("./live.js").State} state */
  show(state) {
    this.#state = state;
    this.refresh();
  }

  /** Says it again, because a second has passed. */
  refresh() {
    clearTimeout(this.#timer);
    const { kind, why } = this.#state;
    find("state").dataset.kind = kind;
    write(find("state-text"), this.#words());
    if (kind === "down") this.#timer = setTimeout(() => this.refresh(), 1000);
    const trouble = find("trouble");
    const isRefused = kind === "refused";
    trouble.hidden = !isRefused;
    if (!isRefused) return;
    const button = make("button", { type: "button", class: "quiet" }, say("sign_in_wanted"));
    button.addEventListener("click", this.#signIn);
    trouble.replaceChildren(make("span", {}, why), " ", button);
  }

  #words() {
    const { kind, way, why, retryAt, isAgain } = this.#state;
    if (kind === "up") return say("state_up", { way: say(`way_${way}`) });
    if (kind === "connecting" && isAgain) return say("state_reconnecting");
    if (kind !== "down") return say(`state_${kind}`);
    const seconds = Math.ceil(((retryAt ?? 0) - performance.now()) / 1000);
    return seconds > 0 ? say("state_down", { seconds, why }) : say("state_now", { why });
  }
}
