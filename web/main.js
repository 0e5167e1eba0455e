// main.js: wires the page together: settings, both lanes, publisher, counters, picture. It holds
// no logic of its own beyond who hears of what; each part is in the file of its name.

import { Announcer } from "./announcer.js";
import { connectControls } from "./controls.js";
import { DemoStream } from "./demo.js";
import { Journal } from "./journal.js";
import { MessageList } from "./messages.js";
import { PollLane } from "./polling.js";
import { Publisher } from "./publisher.js";
import { PushLane } from "./push.js";
import { showCounters, showTheory, summary } from "./scoreboard.js";
import { readSettings } from "./settings.js";
import { LaneStats } from "./stats.js";
import { LaneStatus, showGap, showLastEvent } from "./status.js";
import { isOutOfReach, readConfig, showTerminalLines, terminalLines } from "./terminal.js";
import { Theory } from "./theory.js";
import { Timeline } from "./timeline.js";

/** How often figures and lists are brought up to date. */
const REFRESH_MS = 250;

const find = (id) => document.getElementById(id);
const settings = readSettings();
const stats = { poll: new LaneStats(), push: new LaneStats() };
const theory = new Theory(settings.interval);
const announcer = new Announcer(find("live"));
const say = (text) => announcer.say(text);
const journal = new Journal(stats, { onDelay, onMessage });
const messages = new MessageList(find("messages"), find("no-messages"), journal);
const timeline = new Timeline(find("canvas"), find("stage"), journal);
const publisher = new Publisher(settings.topic, journal);
const demo = new DemoStream(settings.rate, (text) => publisher.publish(text));
const status = {
  poll: new LaneStatus(find("poll-state"), "Polling", "the server answers", say),
  push: new LaneStatus(find("push-state"), "Push", "connected", say),
};
const polling = new PollLane(settings.topic, settings.interval, pollHooks());
const push = new PushLane(settings.topic, pushHooks());
let connectCost = {};
let configKnown = false;
let ready = { poll: false, push: false };

function pollHooks() {
  return {
    onAnswer: countAnswer,
    onMessage: (event, at) => journal.arrived("poll", event, at),
    onPlace: (place) => reached("poll", place),
    onGap: (gap) => lostMessages("poll", gap),
    onState: (kind, text) => status.poll.show({ kind, why: text }),
  };
}

function pushHooks() {
  return {
    onConnect: (bytes, overhead) => {
      connectCost = { requests: 1, bytes, wire: bytes + overhead };
      stats.push.requests += 1;
      stats.push.addBytes(bytes, overhead);
      theory.restart();
      if (!configKnown) learnAddresses();
    },
    onFrame: (bytes, overhead, counted) => {
      stats.push.addBytes(bytes, overhead);
      stats.push.withNews += counted ? 1 : 0;
    },
    onMessage: (event, at) => journal.arrived("push", event, at),
    onPlace: (place) => reached("push", place),
    onGap: (gap) => lostMessages("push", gap),
    onState: (state) => {
      status.push.show(state);
      find("retry-button").hidden = state.kind !== "waiting";
      find("cut-button").disabled = state.kind !== "up";
    },
  };
}

function countAnswer(answer) {
  timeline.addLook(answer);
  stats.poll.requests += 1;
  stats.poll.addBytes(answer.bytes, answer.overhead);
  if (answer.kind === "failed") stats.poll.failed += 1;
  if (answer.kind !== "empty" && answer.kind !== "news") return;
  stats.poll.answers += 1;
  stats.poll.empty += answer.kind === "empty" ? 1 : 0;
  stats.poll.unchanged += answer.unchanged ? 1 : 0;
  stats.poll.withNews += answer.counted > 0 ? 1 : 0;
  theory.look(answer.kind === "empty", answer.askedAt);
}

function onDelay(lane, delay, entry) {
  if (lane === "poll") theory.delay(delay, entry.sentAt);
  showLastEvent(find("caption"), entry);
}

function onMessage(entry, lane) {
  messages.add(entry);
  if (lane !== "push") return;
  theory.event();
  ringBell();
}

function reached(lane, place) {
  journal.reached(lane, place);
  if (ready[lane]) return;
  ready = { ...ready, [lane]: true };
  if (ready.poll && ready.push) controls.bothReady();
}

function lostMessages(lane, gap) {
  journal.gapTold(lane);
  theory.restart();
  say(showGap(find("gap"), lane, gap));
}

/** The bell in the heading moves for a moment when push delivers. */
function ringBell() {
  const bell = find("bell");
  if (document.hidden || bell.getAnimations({ subtree: true }).length > 0) return;
  bell.classList.remove("ringing");
  void bell.getBoundingClientRect();
  bell.classList.add("ringing");
}

/** Begins a new count; the open connection's cost is carried over into it. */
function restartCount() {
  stats.poll.restart();
  stats.push.restart(connectCost);
  journal.restart();
  theory.restart();
  refresh();
}

async function learnAddresses() {
  const config = await readConfig();
  const listen = config?.listen ?? {};
  configKnown = config !== null;
  showTerminalLines(find("terminal-lines"), terminalLines(settings.topic, listen, location), say);
  find("terminal-note").hidden = !isOutOfReach(listen, location);
  find("terminal-unknown").hidden = configKnown;
  if (config?.version) find("version").textContent = ` ${config.version}`;
}

function refresh() {
  showCounters(stats);
  showTheory(theory);
  messages.refresh();
  status.push.tick();
  controls.tick(stats.poll.startedAt);
  announcer.summarise(() => summary(stats));
}

function restWhileHidden() {
  if (document.hidden) {
    polling.pause();
  } else {
    journal.woke();
    theory.restart();
    polling.start();
  }
  controls.visibilityChanged();
}

const controls = connectControls({
  settings,
  publisher,
  demo,
  say,
  onInterval: (seconds) => {
    polling.setPeriod(seconds);
    timeline.setPeriod(seconds);
    theory.restart(seconds);
    restartCount();
  },
  onStreamChange: () => theory.restart(),
  onRestart: restartCount,
  onHold: (held) => timeline.hold(held),
  onCut: () => push.cut(),
  onRetry: () => push.retryNow(),
});

timeline.setPeriod(settings.interval);
polling.start();
push.start();
learnAddresses();
refresh();
setInterval(refresh, REFRESH_MS);
document.addEventListener("visibilitychange", restWhileHidden);
window.addEventListener("online", () => push.retryNow());
window.addEventListener("pagehide", () => (polling.pause(), push.stop(), demo.stop()));
window.addEventListener("pageshow", (event) => event.persisted && location.reload());
