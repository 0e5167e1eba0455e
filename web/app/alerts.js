// app/alerts.js: whether and how this browser tells of a message: by a notification while the page
// is open and nobody looks at it, and by Web Push while it is closed. Muted topics and lower
// priorities are left out. The worker (sw.js) shows both, so that one message is one notification.

import { find, make, write } from "../elements.js";
import { canBePushedTo, pushedTopics, pushTopics } from "../notify.js";
import { say } from "./language.js";
import { isTopic } from "./topics.js";

const MEMORY = "doorbell.inbox.alerts";

const USUAL_PRIORITY = 3;

/** As many topics as one Web Push subscription may have. */
const PUSHED_TOPICS = 50;

/** The switches, and what they stand for. */
export class Alerts {
  #topics;
  #key = "";
  #choice = remembered();
  #worker;

  /**
   * @param {import("./topics.js").Topics} topics
   * @param {Promise<ServiceWorkerRegistration>} worker
   */
  constructor(topics, worker) {
    this.#topics = topics;
    this.#worker = worker;
    find("s-alerts").addEventListener("change", ({ target }) => this.#turn(target.checked));
    find("s-push").addEventListener("change", ({ target }) => this.#turnPush(target.checked));
    find("s-least").addEventListener("change", ({ target }) => {
      this.#keep({ least: Number(target.value) });
    });
    topics.addEventListener("change", () => this.#choice.push && this.#renew());
    const levels = [1, 2, 3, 4, 5].map((level) =>
      make("option", { value: String(level) }, `${level} · ${say(`priority_${level}`)}`));
    find("s-least").replaceChildren(...levels);
    this.#show();
  }

  /** @param {object|null} config what the server says of itself */
  learned(config) {
    const isNew = this.#key === "" && config?.web_push_public_key;
    this.#key = config?.web_push_public_key ?? this.#key;
    this.#show();
    // What is on is renewed: otherwise the server forgets it one day.
    if (isNew && this.#choice.push) this.#renew();
  }

  /**
   * Tells of a message, if somebody wants to be told and does not see it anyway.
   * @param {object} event
   */
  async offer(event) {
    const isSeen = !document.hidden && document.hasFocus();
    if (isSeen || !this.#choice.on || permission() !== "granted") return;
    if ((event.priority ?? USUAL_PRIORITY) < this.#choice.least) return;
    if (this.#topics.isMuted(event.topic)) return;
    if (this.#choice.push && pushedTopics().includes(event.topic)) return;
    const registration = await this.#worker.catch(() => null);
    registration?.active?.postMessage({ notify: { message: event } });
  }

  /**
   * Takes notifications of these messages away: they were read here, or are gone.
   * @param {string[]} keys
   */
  async withdraw(keys) {
    if (permission() !== "granted") return;
    const registration = await this.#worker.catch(() => null);
    const shown = (await registration?.getNotifications()) ?? [];
    const tags = new Set(keys.map((key) => key.replace(" ", "/")));
    for (const one of shown) if (tags.has(one.tag)) one.close();
  }

  /** Nobody is told any more: whoever is signed in is about to go. */
  async end() {
    if (this.#choice.push) await this.#turnPush(false);
  }

  async #turn(on) {
    const isAbsent = permission() === "absent";
    const allowed = !on || (!isAbsent && (await Notification.requestPermission()) === "granted");
    this.#tell(allowed ? "" : say(isAbsent ? "alerts_absent" : "alerts_refused"));
    this.#keep({ on: on && allowed });
  }

  async #turnPush(push) {
    try {
      await pushTopics(this.#pushed(push), this.#key);
      this.#tell("");
      this.#keep({ push });
    } catch (error) {
      this.#tell(error.message);
      this.#show();
    }
  }

  async #renew() {
    try {
      await pushTopics(this.#pushed(true), this.#key);
    } catch (error) {
      this.#tell(error.message);
    }
  }

  /** The topics of the inbox, if it is to be pushed to, beside those of other pages. */
  #pushed(push) {
    const own = this.#topics.list.filter(({ filter, muted }) => isTopic(filter) && !muted);
    const named = own.map(({ filter }) => filter);
    const others = pushedTopics().filter((topic) => !this.#topics.of(topic));
    return [...new Set([...others, ...(push ? named : [])])].slice(0, PUSHED_TOPICS);
  }

  #keep(changes) {
    this.#choice = { ...this.#choice, ...changes };
    try {
      localStorage.setItem(MEMORY, JSON.stringify(this.#choice));
    } catch {
      // Where nothing is kept the choice lasts as long as the page.
    }
    this.#show();
  }

  #show() {
    find("s-alerts").checked = this.#choice.on && permission() === "granted";
    find("s-push").checked = this.#choice.push;
    find("s-push-box").hidden = this.#key === "" || !canBePushedTo();
    find("s-least").value = String(this.#choice.least);
  }

  #tell(text) {
    write(find("alerts-note"), text);
  }
}

/** What the browser allows; `absent` where it has no notifications at this address. */
function permission() {
  return "Notification" in window && isSecureContext ? Notification.permission : "absent";
}

function remembered() {
  const nothing = { on: false, push: false, least: USUAL_PRIORITY };
  try {
    const { on, push, least } = JSON.parse(localStorage.getItem(MEMORY)) ?? {};
    const level = Number.isInteger(least) && least >= 1 && least <= 5 ? least : nothing.least;
    return { on: on === true, push: push === true, least: level };
  } catch {
    return nothing;
  }
}
