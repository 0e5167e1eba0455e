// notify.js: the switch by which this browser is told of a topic's messages while no page is open.
// The browser's maker carries them, encrypted; sw.js shows them. Which topics those are stands in
// the browser's own memory, because the server is told all of them together.

import { find } from "./elements.js";
import { ROOT, exchange, reasonOf } from "./net.js";
import { say } from "./words/say.js";

const MEMORY = "doorbell.notify";

/** The service worker, beside this file. */
const WORKER = new URL("sw.js", import.meta.url);

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
    this.#box.hidden = this.#key === "" || !("serviceWorker" in navigator && "PushManager" in window);
    this.#show();
    if (isNew && !this.#box.hidden && this.#isOn) this.#turn(true);
  }

  get #isOn() {
    return remembered().includes(this.#topic);
  }

  async #turn(on) {
    this.#button.disabled = true;
    try {
      const others = remembered().filter((topic) => topic !== this.#topic);
      const topics = on ? [...others, this.#topic] : others;
      await this.#subscribe(topics);
      remember(topics);
      this.#tell("");
    } catch (error) {
      this.#tell(say("notify.failed", { why: error.message }));
    } finally {
      this.#button.disabled = false;
      this.#show();
    }
  }

  /** Tells the server which topics this browser is to be told of. */
  async #subscribe(topics) {
    if (topics.length > 0 && (await Notification.requestPermission()) !== "granted") {
      throw new Error(say("notify.refused"));
    }
    const registration = await ready(await navigator.serviceWorker.register(WORKER));
    const asked = { userVisibleOnly: true, applicationServerKey: this.#key };
    const before = await registration.pushManager.getSubscription();
    if (before === null && topics.length === 0) return;
    const subscription = before ?? (await registration.pushManager.subscribe(asked));
    const { endpoint, keys } = subscription.toJSON();
    const body = JSON.stringify({ endpoint, ...keys, topics });
    const answer = await exchange(`${ROOT}v1/webpush`, { method: "POST", body });
    if (answer.status !== 200) throw new Error(reasonOf(answer));
    if (topics.length === 0) await subscription.unsubscribe();
  }

  #show() {
    this.#button.setAttribute("aria-pressed", String(this.#isOn));
  }

  #tell(text) {
    this.#note.textContent = text;
    if (text) this.#announce(text);
  }
}

/** Waits until a worker runs that can be pushed to. */
function ready(registration) {
  const worker = registration.installing ?? registration.waiting ?? registration.active;
  if (worker === null || worker.state === "activated") return registration;
  return new Promise((resolve, reject) => {
    worker.addEventListener("statechange", () => {
      if (worker.state === "activated") resolve(registration);
      if (worker.state === "redundant") reject(new Error(say("notify.notstarted")));
    });
  });
}

/** @returns {string[]} the topics that this browser is told of */
function remembered() {
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
