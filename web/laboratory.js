// laboratory.js: wires the laboratory together: settings, lanes, lab, publisher, counters,
// pictures. It holds no logic of its own; each part is in the file of its name.

import { Announcer } from "./announcer.js";
import { ringBell } from "./bell.js";
import { Chips } from "./lane/chips.js";
import { Connections } from "./lab/connections.js";
import { Contest } from "./lane/contest.js";
import { CONFIG, readConfig } from "./config.js";
import { connectControls } from "./controls.js";
import { DemoStream } from "./demo.js";
import { Distribution } from "./picture/distribution.js";
import { find } from "./elements.js";
import { Journal } from "./journal.js";
import { Lab } from "./lab/lab.js";
import { LabWatch } from "./lab/watch.js";
import { forEachLane } from "./lane/list.js";
import { CUT_SECONDS, Outage } from "./lane/outage.js";
import { MessageList } from "./messages.js";
import { Network } from "./network.js";
import { Publisher } from "./publisher.js";
import { Reports } from "./lane/reports.js";
import { buildScoreboard, showCounters, sidesOf } from "./scoreboard.js";
import { firstViewOf, readSettings, rememberLanes } from "./settings.js";
import { SignIn } from "./signin.js";
import { buildStage, showLanes, showMedians } from "./picture/stage.js";
import { LaneStats } from "./lane/stats.js";
import { LaneStatus, showGap, showLastEvent } from "./lane/status.js";
import { isOutOfReach, showInvitation, showTerminalLines, terminalLines } from "./terminal.js";
import { Theory } from "./theory.js";
import { Timeline } from "./picture/timeline.js";
import { mountTour } from "./tour/tour.js";
import { mountTrace } from "./trace/trace.js";
import { showTheory, showVerdict, summary } from "./verdict.js";
import { WireCounts } from "./lab/wire.js";

/** How often figures and lists are brought up to date. */
const REFRESH_MS = 250;

/** How long the lanes wait for the lab's first word, so that it counts them whole. */
const LAB_PATIENCE_MS = 2000;

/** How long the demo stream waits for every lane to be up. */
const LANES_PATIENCE_MS = 5000;

const settings = readSettings();
const stage = find("stage");
const counters = find("counters");
const stats = forEachLane(() => new LaneStats());
const theory = new Theory(settings.interval);
const announcer = new Announcer(find("live"));
const announce = (text) => announcer.say(text);
const lab = new Lab(settings.topic);
const wires = new WireCounts(lab);
const journal = new Journal(stats, { onDelay, onMessage });
const messages = new MessageList(find("messages"), find("no-messages"), journal);
const timeline = new Timeline(find("canvas"), stage, journal);
const publisher = new Publisher(settings.topic, journal, (path) => lab.tag(path, "publish"));
const demo = new DemoStream(settings.rate, (text) => publisher.publish(text));
const network = new Network();
const outage = new Outage(find("outage"), stats, announce);
const reports = new Reports({
  stats, lab, journal, network, theory, timeline, onConnect, onGap, onState,
});
let keepalive = CONFIG.keepalive_seconds;
const contest = new Contest(settings.topic, settings.interval, lab, () => keepalive, reports);
const connections = new Connections(find("connection-table"), announce);
const distribution = new Distribution(find("spread"), find("spread-empty"));
buildStage(stage, (name) => contest.retry(name));
buildScoreboard(counters);
// That the line is cut is said once, and not for each lane.
const unlessCut = (text) => outage.isCut || announce(text);
const status = forEachLane((lane) => new LaneStatus(find(`${lane.name}-state`), lane, unlessCut));
const signIn = new SignIn(settings.topic, announce);
const labWatch = new LabWatch(lab, applyLanes);
const chips = new Chips(find("chips"), settings.lanes, chooseLanes);
const tour = mountTour(find("tour"), settings.topic, lab);
mountTrace(find("trace"), lab, (name) => contest.reconnect(name));

/** The lanes in the picture. */
let lanes = [];
const wereUp = new Set();
let configKnown = false;
let begun = false;

function onDelay(name, delay, entry) {
  if (name === "poll") theory.delay(delay, entry.sentAt ?? entry.firstSeen);
  showLastEvent(find("caption"), entry, lanes);
  tour.heard(entry);
}

function onMessage(entry, name, isNew) {
  messages.add(entry);
  outage.brought(name);
  tour.heard(entry);
  if (!isNew) return;
  theory.event();
  if (name !== "poll") ringBell(find("bell"));
}

async function onConnect() {
  if (!configKnown) learn(await readConfig());
}

function onGap(name, gap) {
  announce(showGap(find("gap"), name, gap));
}

function onState(name, state) {
  status[name].show(state);
  outage.changed(name, state);
  find(`retry-${name}`).hidden = state.kind !== "waiting";
  if (state.kind === "up") wereUp.add(name);
  if (lanes.every((lane) => wereUp.has(lane))) controls.lanesReady();
}

/** Begins a new count: what was before is subtracted everywhere. */
function restartCount() {
  for (const one of Object.values(stats)) one.restart();
  wires.restart();
  journal.restart();
  theory.restart();
  outage.restart();
  refresh();
}

function chooseLanes(names) {
  rememberLanes(names);
  applyLanes();
}

/** Brings everything to the lanes that are wanted and can be had. A change begins a new count. */
function applyLanes() {
  chips.setMissing(labWatch.missing);
  const wanted = labWatch.usable(chips.chosen);
  const changed = wanted.join() !== lanes.join();
  lanes = wanted;
  showLanes(stage, lanes);
  timeline.setLanes(lanes);
  find("interval").disabled = !lanes.includes("poll");
  if (!begun) return;
  contest.run(lanes);
  if (changed) restartCount();
}

/** The server has told its configuration, or null: it has not. */
function learn(config) {
  const listen = config?.listen ?? {};
  configKnown = config !== null;
  keepalive = config?.keepalive_seconds ?? keepalive;
  labWatch.learned(config);
  signIn.learned(config);
  tour.learned(config);
  const groups = terminalLines(settings.topic, listen, location);
  showTerminalLines(find("terminal-lines"), groups, announce);
  showInvitation(find("connections-invitation"), settings.topic, listen, location);
  find("terminal-note").hidden = !isOutOfReach(listen, location);
  find("terminal-unknown").hidden = configKnown;
  if (config?.version) find("version").textContent = ` ${config.version}`;
}

function refresh() {
  const sides = sidesOf(lanes, stats, wires);
  showMedians(stats);
  showCounters(counters, sides);
  showVerdict(sides);
  showTheory(theory, lanes);
  distribution.show(sides);
  messages.refresh();
  outage.show();
  controls.cutGoesOn(outage.isCut);
  for (const name of lanes) status[name].tick();
  controls.tick(stats.poll.startedAt);
  announcer.summarise(() => summary(sides));
}

/** Nothing passes for a while, and what is open is closed. */
function cutLine() {
  if (outage.isCut) return;
  network.cut(CUT_SECONDS * 1000);
  outage.begin(lanes);
  contest.cut();
  refresh();
}

function restWhileHidden() {
  lab.say({ table: !document.hidden });
  if (document.hidden) {
    contest.rest();
  } else {
    journal.woke();
    theory.restart();
    contest.wake();
  }
  controls.visibilityChanged();
}

const controls = connectControls({
  settings,
  publisher,
  demo,
  announce,
  onInterval: (seconds) => {
    contest.setPeriod(seconds);
    timeline.setPeriod(seconds);
    theory.restart(seconds);
    restartCount();
  },
  onStreamChange: () => theory.restart(),
  onRestart: restartCount,
  onHold: (held) => timeline.hold(held),
  onCut: cutLine,
});

/** The lanes begin when the lab listens, so that it counts them from the first packet on. */
async function begin() {
  learn(CONFIG);
  await labWatch.firstWord(LAB_PATIENCE_MS);
  begun = true;
  contest.run(lanes);
  setTimeout(controls.lanesReady, LANES_PATIENCE_MS);
}

lab.listen("table", (told) => connections.show(told));
lab.listen("down", () => {
  connections.clear();
  configKnown = false;
});
// A session that comes late knows nothing of connections that are there: they begin anew.
lab.listen("hello", () => begun && contest.renew());
for (const link of document.querySelectorAll('[data-to="first"]')) {
  link.href = firstViewOf(settings.topic);
}
timeline.setPeriod(settings.interval);
applyLanes();
if (document.hidden) restWhileHidden();
begin();
refresh();
setInterval(refresh, REFRESH_MS);
document.addEventListener("visibilitychange", restWhileHidden);
window.addEventListener("online", () => (contest.retry(), lab.retryNow()));
window.addEventListener("pagehide", () => (contest.stop(), demo.stop(), lab.stop()));
window.addEventListener("pageshow", (event) => event.persisted && location.reload());
