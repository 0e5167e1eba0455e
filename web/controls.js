// controls.js: the things a visitor can press and move: publishing by hand, the demo stream, the
// sliders, the buttons. It passes on what was asked; it measures and draws nothing.

import { textBytes } from "./lane/bytes.js";
import { CUT_SECONDS } from "./lane/outage.js";
import { find, write } from "./elements.js";
import { duration, interval as intervalText, minutes, percent } from "./format.js";
import { NETWORKS } from "./network.js";
import {
  INTERVALS, RATES, isTopic, laboratoryOf, putIntoAddress, rememberDemo,
} from "./settings.js";
import { say } from "./words/say.js";

/** The longest text that the box takes; the server's default bound. */
const TEXT_BYTES = 4096;

/** How long a note on a failed publish stays. */
const NOTE_MS = 8000;

/**
 * Connects all controls of the page.
 * @param {object} page
 * @param {{topic: string, interval: number, rate: number, demo: boolean}} page.settings
 * @param {import("./publisher.js").Publisher} page.publisher
 * @param {import("./demo.js").DemoStream} page.demo
 * @param {(text: string) => void} page.announce
 * @param {(seconds: number) => void} page.onInterval
 * @param {() => void} page.onStreamChange
 * @param {() => void} page.onRestart
 * @param {(held: boolean) => void} page.onHold
 * @param {() => void} page.onCut
 * @returns {{lanesReady: Function, visibilityChanged: Function, tick: Function,
 *   cutGoesOn: Function}}
 */
export function connectControls(page) {
  showTopic(page.settings.topic, laboratoryOf);
  connectPublishing(page.publisher, page.announce);
  connectInterval(page.settings, page.onInterval);
  const stream = connectStream(page);
  find("restart-button").addEventListener("click", page.onRestart);
  find("cut-button").addEventListener("click", page.onCut);
  find("hold-button").addEventListener("click", () => page.onHold(toggle(find("hold-button"))));
  return { ...stream, tick: showCountAge, cutGoesOn };
}

function toggle(button) {
  const pressed = button.getAttribute("aria-pressed") !== "true";
  button.setAttribute("aria-pressed", String(pressed));
  return pressed;
}

/**
 * Shows the topic, and leads to another one.
 * @param {string} topic
 * @param {(topic: string) => string} addressOf the page of a topic
 */
export function showTopic(topic, addressOf) {
  find("topic").value = topic;
  document.title = topic === "demo" ? document.title : `${topic} · ${document.title}`;
  find("topic-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const wanted = find("topic").value.trim();
    const valid = isTopic(wanted);
    find("topic").setCustomValidity(valid ? "" : say("page.wrongtopic"));
    if (valid) location.assign(addressOf(wanted));
    else find("topic").reportValidity();
  });
  find("topic").addEventListener("input", () => find("topic").setCustomValidity(""));
}

/**
 * Connects the box and the button by which a person publishes.
 * @param {import("./publisher.js").Publisher} publisher
 * @param {(text: string) => void} announce
 */
export function connectPublishing(publisher, announce) {
  const box = find("publish-text");
  const note = find("publish-note");
  let forget = null;
  const tell = (text) => {
    clearTimeout(forget);
    note.textContent = text;
    if (text) announce(text);
    if (text) forget = setTimeout(() => (note.textContent = ""), NOTE_MS);
  };
  find("publish-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    const text = box.value.trim() || box.placeholder;
    if (textBytes(text) > TEXT_BYTES) {
      tell(say("why.toolong", { bytes: TEXT_BYTES }));
      return;
    }
    const reason = await publisher.publish(text);
    tell(reason ? say("why.notpublished", { why: reason }) : "");
    if (!reason) box.select();
  });
}

/**
 * Connects the slider of the polling interval.
 * @param {{interval: number}} settings
 * @param {(seconds: number) => void} onInterval
 */
export function connectInterval(settings, onInterval) {
  const slider = find("interval");
  const show = () => {
    const text = intervalText(INTERVALS[slider.value]);
    find("interval-value").textContent = text;
    find("lane-interval").textContent = text;
    slider.setAttribute("aria-valuetext", say("first.every", { interval: text }));
  };
  slider.max = INTERVALS.length - 1;
  slider.value = INTERVALS.indexOf(settings.interval);
  show();
  slider.addEventListener("input", () => {
    show();
    putIntoAddress("interval", INTERVALS[slider.value]);
    onInterval(INTERVALS[slider.value]);
  });
}

/**
 * Connects the slider of the simulated network.
 * @param {string} name the network to begin with
 * @param {(name: string) => void} onNetwork
 */
export function connectNetwork(name, onNetwork) {
  const slider = find("network");
  const show = () => {
    const { name, delay, loss } = NETWORKS[slider.value];
    const text = say(`first.networks.${name}`);
    find("network-value").textContent = text;
    slider.setAttribute("aria-valuetext", text);
    const note = find("network-note");
    note.toggleAttribute("data-simulates", delay > 0);
    note.textContent = delay === 0 ? say("first.asitis")
      : say("first.simulated", { delay: duration(delay), loss: percent(loss) });
    return name;
  };
  slider.max = NETWORKS.length - 1;
  slider.value = NETWORKS.findIndex((network) => network.name === name);
  show();
  slider.addEventListener("input", () => {
    const chosen = show();
    putIntoAddress("network", chosen === "none" ? null : chosen);
    onNetwork(chosen);
  });
}

/** The demo stream runs when it is wanted, the lanes are ready and the tab can be seen. */
function connectStream({ settings, demo, onStreamChange }) {
  const button = find("demo-switch");
  const slider = find("rate");
  let ready = false;
  const decide = () => {
    if (button.checked && ready && !document.hidden) demo.start();
    else demo.stop();
  };
  const showRate = () => {
    const rate = RATES[slider.value];
    const seconds = Number((1 / rate).toFixed(1));
    const text = rate >= 1 ? say("laboratory.persecond", { rate })
      : say("laboratory.oneper", { seconds });
    find("rate-value").textContent = text;
    slider.setAttribute("aria-valuetext", say("laboratory.onaverage", { rate: text }));
  };
  button.checked = settings.demo;
  slider.max = RATES.length - 1;
  slider.value = RATES.indexOf(settings.rate);
  showRate();
  button.addEventListener("change", () => {
    rememberDemo(button.checked);
    onStreamChange();
    decide();
  });
  slider.addEventListener("input", () => {
    showRate();
    putIntoAddress("rate", RATES[slider.value]);
    demo.setRate(RATES[slider.value]);
    onStreamChange();
  });
  const lanesReady = () => {
    ready = true;
    decide();
  };
  return { lanesReady, visibilityChanged: decide };
}

/** While the line is cut, its button says so and keeps the focus. */
function cutGoesOn(isCut) {
  const button = find("cut-button");
  button.setAttribute("aria-disabled", String(isCut));
  write(button, say(isCut ? "laboratory.iscut" : "laboratory.cut", { seconds: CUT_SECONDS }));
}

function showCountAge(startedAt) {
  const age = minutes((performance.now() - startedAt) / 1000);
  write(find("count-age"), say("laboratory.counted", { age }));
}
