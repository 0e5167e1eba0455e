// lane/tcp_udp.js: a lane that a browser cannot run itself: TCP or UDP. The server's lab connects a
// real socket to the server's own port, reads from it as any program would, and tells here
// what came and how late. Those delays are on the server's clock. No message text comes this way.

import { say } from "../words/say.js";

/** The lane of one transport. */
export class SubscriberLane {
  #via;
  #lab;
  #hooks;
  #running = false;

  /**
   * @param {string} via tcp or udp
   * @param {import("../lab/lab.js").Lab} lab
   * @param {import("./reports.js").Hooks} hooks
   */
  constructor(via, lab, hooks) {
    this.#via = via;
    this.#lab = lab;
    this.#hooks = hooks;
    const mine = (handle) => (told) => {
      if (this.#running && told.via === via) handle(told);
    };
    lab.listen("subscriber", mine((told) => this.#changed(told)));
    lab.listen("arrival", mine((told) => this.#arrived(told)));
    lab.listen("lost", mine((told) => hooks.onLost(Number(told.count) || 0)));
    lab.listen("up", () => this.#running && hooks.onState({ kind: "connecting" }));
    lab.listen("down", ({ why }) => this.#running && this.#away(why));
  }

  /** Has the server's side subscribe. */
  start() {
    if (this.#running) return;
    this.#running = true;
    if (this.#lab.state === "up") this.#hooks.onState({ kind: "connecting" });
    else this.#away(say("why.nolab"));
    this.#lab.run(this.#via, true);
  }

  /** Ends the subscription. The next one begins at the end of the log. */
  stop() {
    if (!this.#running) return;
    this.#running = false;
    this.#lab.run(this.#via, false);
    this.#letGo();
  }

  #changed({ state, why, local }) {
    if (state === "up") {
      this.#hooks.onConnect(0, 0);
      this.#hooks.onState({ kind: "up", more: portOf(local) });
    } else if (state === "down") {
      this.#away(typeof why === "string" ? why.slice(0, 200) : say("why.broke"));
    }
  }

  #arrived({ id, after_us: after }) {
    if (typeof id !== "string" || !Number.isFinite(after)) return;
    const at = performance.now();
    const counted = this.#hooks.onMessage({ id }, at, after / 1000);
    this.#hooks.onFrame(0, 0, counted);
    // What a datagram overtook may still come, so only TCP shows by its order what is missing.
    if (this.#via === "tcp") this.#hooks.onPlace(id);
  }

  #away(why) {
    this.#letGo();
    this.#hooks.onState({ kind: "down", why });
  }

  #letGo() {
    this.#hooks.onRelease(performance.now());
    this.#hooks.onForget(say("why.away"));
  }
}

function portOf(address) {
  const port = /:(\d+)$/.exec(address ?? "")?.[1];
  return port ? say("lane.port", { port }) : "";
}
