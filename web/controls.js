// controls.js: the things a visitor can press and move: publishing by hand, the demo stream, the
// sliders, the buttons. It passes on what was asked; it measures and draws nothing.

import { textBytes } from "./lane/bytes.js";
import { find } from "./elements.js";
import { interval as intervalText, minutes } from "./format.js";
import { ROOT } from "./net.js";
import { INTERVALS, RATES, isTopic, putIntoAddress, rememberDemo } from "./settings.js";

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
 * @param {(text: string) => void} page.say
 * @param {(seconds: number) => void} page.onInterval
 * @param {() => void} page.onStreamChange
 * @param {() => void} page.onRestart
 * @param {(held: boolean) => void} page.onHold
 * @param {() => void} page.onCut
 * @returns {{lanesReady: Function, visibilityChanged: Function, tick: Function}}
 */
export function connectControls(page) {
  showTopic(page.settings.topic);
  connectPublishing(page.publisher, page.say);
  connectInterval(page);
  const stream = connectStream(page);
  find("restart-button").addEventListener("click", page.onRestart);
  find("cut-button").addEventListener("click", page.onCut);
  find("hold-button").addEventListener("click", () => page.onHold(toggle(find("hold-button"))));
  return { ...stream, tick: showCountAge };
}

function toggle(button) {
  const pressed = button.getAttribute("aria-pressed") !== "true";
  button.setAttribute("aria-pressed", String(pressed));
  return pressed;
}

function showTopic(topic) {
  find("topic").value = topic;
  document.title = topic === "demo" ? document.title : `${topic} · ${document.title}`;
  find("topic-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const wanted = find("topic").value.trim();
    const valid = isTopic(wanted);
    find("topic").setCustomValidity(valid ? "" : "Letters, digits, _ and -, parted by dots");
    if (valid) location.assign(`${ROOT}${wanted}${location.search}`);
    else find("topic").reportValidity();
  });
  find("topic").addEventListener("input", () => find("topic").setCustomValidity(""));
}

function connectPublishing(publisher, say) {
  const box = find("publish-text");
  const note = find("publish-note");
  let forget = null;
  const tell = (text) => {
    clearTimeout(forget);
    note.textContent = text;
    if (text) say(text);
    if (text) forget = setTimeout(() => (note.textContent = ""), NOTE_MS);
  };
  find("publish-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    const text = box.value.trim() || box.placeholder;
    if (textBytes(text) > TEXT_BYTES) {
      tell(`Too long: at most ${TEXT_BYTES} bytes.`);
      return;
    }
    const reason = await publisher.publish(text);
    tell(reason ? `Not published: ${reason}.` : "");
    if (!reason) box.select();
  });
}

function connectInterval({ settings, onInterval }) {
  const slider = find("interval");
  const show = () => {
    const text = intervalText(INTERVALS[slider.value]);
    find("interval-value").textContent = text;
    find("lane-interval").textContent = text;
    slider.setAttribute("aria-valuetext", `every ${text}`);
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
    const text = rate >= 1 ? `${rate} per second` : `one per ${Number((1 / rate).toFixed(1))} s`;
    find("rate-value").textContent = text;
    slider.setAttribute("aria-valuetext", `on average ${text}`);
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

function showCountAge(startedAt) {
  const text = minutes((performance.now() - startedAt) / 1000);
  if (find("count-age").textContent !== text) find("count-age").textContent = text;
}
