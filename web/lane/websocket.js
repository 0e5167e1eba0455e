// lane/websocket.js: the WebSocket lane. It holds one WebSocket open and lets the server ring. When
// the connection breaks it comes back by itself and resumes after the last id it has seen. It never
// asks for messages.

import { askingBytes, connectBytes, exchangeOverhead, frameBytes, frameOverhead } from "./bytes.js";
import { ROOT, isPublished, parseJson } from "../net.js";
import { Reconnecting, openSocket } from "../reconnecting.js";
import { say } from "../words/say.js";

/** After so much silence the page asks whether the line is still alive, and waits so long for an
 * answer. The server's own keepalives are WebSocket pings, which a page cannot see. */
const SILENCE_MS = 45_000;
const PONG_LIMIT_MS = 10_000;

const PING = "PING";

/** What the server sends as close code when it is stopping. */
const GOING_AWAY = 1001;

/** The WebSocket lane of one topic. The last id stays from one start to the next. */
export class WebSocketLane extends Reconnecting {
  #topic;
  #hooks;
  #socket = null;
  #since;
  #said = "";
  #firstWhy = "";

  /**
   * @param {string} topic
   * @param {import("./reports.js").Hooks} hooks
   * @param {string} [since] where to begin: what is new, unless it is said
   */
  constructor(topic, hooks, since = "none") {
    super();
    this.#topic = topic;
    this.#hooks = hooks;
    this.#since = since;
  }

  open() {
    this.#said = "";
    const since = encodeURIComponent(this.#since);
    const path = this.#hooks.tag(`${ROOT}${encodeURIComponent(this.#topic)}/ws?since=${since}`);
    const arrive = this.#hooks.connection();
    this.#hooks.onState({ kind: "connecting" });
    const socket = openSocket(path, {
      onopen: () => this.#opened(path),
      onmessage: ({ data }) => arrive(() => this.#socket === socket && this.#frame(data)),
      onclose: (event) => this.lost(this.#whyClosed(event)),
    });
    this.#socket = socket;
  }

  close() {
    if (!this.#socket) return;
    this.#socket.close();
    this.#socket = null;
    this.#hooks.onRelease(performance.now());
  }

  lost(why) {
    if (this.wasOpen) this.#firstWhy = why;
    super.lost(this.wasOpen || !this.#firstWhy ? why : say("why.since", { why: this.#firstWhy }));
  }

  waits(why, wait) {
    this.#hooks.onState({ kind: "waiting", why, retryAt: performance.now() + wait });
  }

  #opened(path) {
    this.opened();
    this.#listen();
    const { asked, answered } = connectBytes(path);
    this.#hooks.onConnect(asked + answered, exchangeOverhead(asked, answered, true));
    this.#hooks.onState({ kind: "up" });
  }

  #frame(text) {
    const at = performance.now();
    if (typeof text !== "string") return;
    const event = parseJson(text);
    if (event?.gap) this.#hooks.onGap(event.gap);
    const placed = typeof event?.id === "string";
    const isMessage = placed && isPublished(event);
    const counted = isMessage && this.#hooks.onMessage(event, at);
    const bytes = frameBytes(text);
    this.#hooks.onFrame(bytes, frameOverhead(bytes), counted);
    if (event === null) return;
    if (event.event === "close") this.#said = words(event.reason ?? event.message);
    if (event.event === "error") this.#said = words(event.error ?? event.message);
    if (isMessage || (placed && ["open", "keepalive"].includes(event.event))) {
      this.#since = event.id;
      this.#hooks.onPlace(event.id);
    }
    this.#listen();
  }

  /** Waits for the next frame; a line that stays silent is asked once, then given up. */
  #listen() {
    this.guard(SILENCE_MS, () => {
      const bytes = askingBytes(PING);
      this.#socket.send(PING);
      this.#hooks.onFrame(bytes, frameOverhead(bytes), false);
      this.giveUpAfter(PONG_LIMIT_MS, say("why.silent"));
    });
  }

  #whyClosed(event) {
    if (event.code === GOING_AWAY) return say("why.stopping");
    if (navigator.onLine === false) return say("why.offline");
    if (this.#said) return this.#said;
    if (event.reason) return event.reason.slice(0, 200);
    return say(this.wasOpen ? "why.broke" : "why.noanswer");
  }
}

/** The server's own words, within bounds. */
function words(value) {
  return typeof value === "string" ? value.slice(0, 200) : "";
}
