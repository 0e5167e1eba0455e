// notify.js: the switch by which this browser is told of a topic's messages while no page is open.
// The browser's maker carries them, encrypted; sw.js shows them. Which topics those are stands in
// the browser's own memory, because the server is told all of them together.

import { find } from "./elements.js";
import { ROOT, exchange, reasonOf } from "./net.js";
import { say } from "./words/say.js";
import { registerWorker } from "./worker.js";

const MEMORY = "doorbell.notify";

/** The switch of one topic. */
export class Notify {
  #topic;
  #announce;
  #key = "";
  #box = find("notify");
  #button = find("notify-button");
  #note = find("notify-note");

  /**
   * @param {string} topic
   * @param {(text: string) => void} announce
   */
  constructor(topic, announce) {
    this.#topic = topic;
    this.#announce = announce;
    this.#button.addEventListener("click", () => this.#turn(!this.#isOn));
  }

  /**
   * The server has told its configuration, or null: it has not. What is on is renewed: otherwise
   * the server forgets it one day.
   * @param {object|null} config
   */
  learned(config) {
    const isNew = config !== null && this.#key === "";
    this.#key = config?.web_push_public_key ?? this.#key;
    this.#box.hidden = this.#key === "" || !canBePushedTo();
    this.#show();
    if (isNew && !this.#box.hidden && this.#isOn) this.#turn(true);
  }

  get #isOn() {
    return pushedTopics().includes(this.#topic);
  }

  async #turn(on) {
    this.#button.disabled = true;
    try {
      const others = pushedTopics().filter((topic) => topic !== this.#topic);
      await pushTopics(on ? [...others, this.#topic] : others, this.#key);
      this.#tell("");
    } catch (error) {
      this.#tell(say("notify.failed", { why: error.message }));
    } finally {
      this.#button.disabled = false;
      this.#show();
    }
  }

  #show() {
    this.#button.setAttribute("aria-pressed", String(this.#isOn));
  }

  #tell(text) {
    this.#note.textContent = text;
    if (text) this.#announce(text);
  }
}

/** @returns {boolean} whether this browser can be told of messages while no page is open */
export function canBePushedTo() {
  return "serviceWorker" in navigator && "PushManager" in window;
}

/**
 * Tells the server which topics this browser is to be told of, and remembers them.
 * @param {string[]} topics all of them: those of before are forgotten
 * @param {string} key the server's, as its configuration has it
 * @throws {Error} in the server's words, or the browser's
 */
export async function pushTopics(topics, key) {
  if (topics.length > 0 && (await Notification.requestPermission()) !== "granted") {
    throw new Error(say("notify.refused"));
  }
  const registration = await registerWorker();
  const before = await registration.pushManager.getSubscription();
  if (before !== null || topics.length > 0) {
    const asked = { userVisibleOnly: true, applicationServerKey: key };
    const subscription = before ?? (await registration.pushManager.subscribe(asked));
    const { endpoint, keys } = subscription.toJSON();
    const body = JSON.stringify({ endpoint, ...keys, topics });
    const answer = await exchange(`${ROOT}v1/webpush`, { method: "POST", body });
    if (answer.status !== 200) throw new Error(reasonOf(answer));
    if (topics.length === 0) await subscription.unsubscribe();
  }
  remember(topics);
}

/** @returns {string[]} the topics that this browser is told of */
export function pushedTopics() {
  try {
    const topics = JSON.parse(localStorage.getItem(MEMORY) ?? "[]");
    return Array.isArray(topics) ? topics.filter((topic) => typeof topic === "string") : [];
  } catch {
    return [];
  }
}

function remember(topics) {
  try {
    localStorage.setItem(MEMORY, JSON.stringify(topics));
  } catch {
    // Where nothing is kept, the switch is off the next time.
  }
}
