// main.js: wires the first view together: two lanes, the bell, two sliders, one sentence. It draws
// and measures nothing itself. Everything else is in the laboratory (laboratory.js).

import { Announcer } from "./announcer.js";
import { ringBell } from "./bell.js";
import { CONFIG, readConfig } from "./config.js";
import { connectInterval, connectNetwork, connectPublishing, showTopic } from "./controls.js";
import { DemoStream, happening } from "./demo.js";
import { find, make, write } from "./elements.js";
import { Ringer } from "./first/ringer.js";
import { Sentence } from "./first/sentence.js";
import { connectShare } from "./first/share.js";
import { count } from "./format.js";
import { Journal } from "./journal.js";
import { Lab } from "./lab/lab.js";
import { Contest } from "./lane/contest.js";
import { forEachLane, laneOf } from "./lane/list.js";
import { Reports } from "./lane/reports.js";
import { LaneStats } from "./lane/stats.js";
import { LaneStatus, showGap } from "./lane/status.js";
import { Network } from "./network.js";
import { buildStage, showLanes, showMedians } from "./picture/stage.js";
import { Timeline } from "./picture/timeline.js";
import { Notify } from "./notify.js";
import { Publisher } from "./publisher.js";
import { firstViewOf, laboratoryOf, linkTo, readSettings } from "./settings.js";
import { SignIn } from "./signin.js";
import { Theory } from "./theory.js";
import { say, sayNodes } from "./words/say.js";

/** How often figures are brought up to date. */
const REFRESH_MS = 100;

/** How long the bell waits for both lanes to be up. */
const LANES_PATIENCE_MS = 5000;

/** Time in view, at least: two lanes are filled sooner than six. */
const SPAN_MS = 24_000;

/** The ways to be pushed to that every browser has, the fastest first; the next one takes over
 * where something between browser and server bars the one before. */
const PUSHES = ["ws", "sse"];

const settings = readSettings();
if (/^#tour-\d$/.test(location.hash)) {
  location.replace(laboratoryOf(settings.topic) + location.hash);
}

const stage = find("stage");
const stats = forEachLane(() => new LaneStats());
const announcer = new Announcer(find("live"));
const announce = (text) => announcer.say(text);
// The laboratory's line to the server is not needed here: nothing is shown that it tells.
const lab = new Lab(settings.topic);
lab.turnOff();
const journal = new Journal(stats, { onDelay: () => {}, onMessage });
const timeline = new Timeline(find("canvas"), stage, journal, SPAN_MS);
const publisher = new Publisher(settings.topic, journal, (path) => lab.tag(path, "publish"));
const demo = new DemoStream(settings.rate, (text) => publisher.publish(text));
const network = new Network();
const reports = new Reports({
  stats, lab, journal, network, theory: new Theory(settings.interval), timeline, onConnect, onGap,
  onState,
});
let keepalive = CONFIG.keepalive_seconds;
const contest = new Contest(settings.topic, settings.interval, lab, () => keepalive, reports);
buildStage(stage, (name) => contest.retry(name));
const status = forEachLane((lane) => new LaneStatus(find(`${lane.name}-state`), lane, announce));
const signIn = new SignIn(settings.topic, announce);
const notify = new Notify(settings.topic, announce);
const sentence = new Sentence(find("sentence"), journal, announce);
const ring = () => publisher.publish(happening(rings++));
const ringer = new Ringer(ring, demo, !settings.isSilent);

/** How often each way of push had to connect, since the page was opened. */
const connects = {};
let rings = 0;
let configKnown = true;
let push = settings.asked.find((name) => PUSHES.includes(name)) ?? PUSHES[0];
const up = new Set();
const wereUp = new Set();

function onMessage(entry, name, isNew) {
  if (isNew && name !== "poll") ringBell(find("bell"));
}

async function onConnect(name) {
  connects[name] = (connects[name] ?? 0) + 1;
  if (!configKnown) learn(await readConfig());
}

function onGap(name, gap) {
  announce(showGap(find("gap"), name, gap));
}

function onState(name, state) {
  status[name].show(state);
  find(`retry-${name}`).hidden = state.kind !== "waiting";
  if (state.kind === "up") wereUp.add(name);
  if (state.kind === "up") up.add(name);
  else up.delete(name);
  if (state.kind === "waiting") configKnown = false;
  if (up.has("poll") && up.has(push)) ringer.lanesReady();
  // Polling comes through and push never did: something on the way does not know WebSockets.
  const next = PUSHES[PUSHES.indexOf(push) + 1];
  const isBarred = name === push && state.kind === "waiting" && !wereUp.has(push);
  if (isBarred && up.has("poll") && next) race(next);
}

/** Has polling run against a way of push. */
function race(name) {
  push = name;
  showLanes(stage, ["poll", push]);
  timeline.setLanes(["poll", push]);
  contest.run(["poll", push]);
}

/** What stands beside the two lanes: each is named, and what it costs is counted. */
function label() {
  for (const name of PUSHES) {
    const box = stage.querySelector(`.lane-label[data-lane="${name}"]`);
    const title = make("small", {}, laneOf(name).title);
    box.querySelector("h2").replaceChildren(say("first.push"), " ", title);
    write(box.querySelector(".lane-what"), say("first.pushwhat"));
    box.append(make("p", { id: `${name}-cost`, class: "cost" }));
  }
  const polling = stage.querySelector('.lane-label[data-lane="poll"]');
  polling.append(make("p", { id: "poll-cost", class: "cost" }));
}

/** The server has told its configuration, or null: it has not. */
function learn(config) {
  configKnown = config !== null;
  keepalive = config?.keepalive_seconds ?? keepalive;
  signIn.learned(config);
  notify.learned(config);
  if (config?.version) find("version").textContent = ` ${config.version}`;
}

function refresh() {
  const requests = count(stats.poll.requests);
  const empty = count(stats.poll.empty);
  write(find("poll-cost"), say("first.pollcost", { requests, empty }));
  write(find(`${push}-cost`), say("first.pushcost", { requests: connects[push] ?? 0 }));
  showMedians(stats);
  sentence.show(push, up.has("poll") && up.has(push));
  for (const name of ["poll", push]) status[name].tick();
  announcer.summarise(() => sentence.words &&
    `${sentence.words} ${say("first.summary", { requests, empty })}`);
}

function restart() {
  for (const one of Object.values(stats)) one.restart();
  journal.restart();
}

function restWhileHidden() {
  if (document.hidden) {
    contest.rest();
  } else {
    journal.woke();
    contest.wake();
  }
  ringer.decide();
}

/** Links to the laboratory take topic and settings along. */
function leadOn() {
  for (const link of document.querySelectorAll('[data-to="lab"]')) {
    link.href = laboratoryOf(settings.topic) + (link.dataset.part ?? "");
  }
}

const strong = (name) => make("strong", { class: `of-${name}` });
const [polling, pushing] = [strong("poll"), strong("push")];
polling.textContent = say("first.polling");
pushing.textContent = say("first.push");
find("lede").replaceChildren(...sayNodes("first.lede", { polling, push: pushing }));
label();
showTopic(settings.topic, firstViewOf);
find("publish-form").addEventListener("submit", () => sentence.rung());
connectPublishing(publisher, announce);
connectInterval(settings, (seconds) => {
  contest.setPeriod(seconds);
  timeline.setPeriod(seconds);
  restart();
  leadOn();
});
connectNetwork(settings.network, (name) => {
  network.choose(name);
  restart();
  leadOn();
});
connectShare(() => linkTo(settings.topic), announce);
leadOn();
learn(CONFIG);
timeline.setPeriod(settings.interval);
network.choose(settings.network);
race(push);
if (document.hidden) restWhileHidden();
setTimeout(() => ringer.lanesReady(), LANES_PATIENCE_MS);
refresh();
setInterval(refresh, REFRESH_MS);
document.addEventListener("visibilitychange", restWhileHidden);
window.addEventListener("online", () => contest.retry());
window.addEventListener("pagehide", () => (contest.stop(), demo.stop()));
window.addEventListener("pageshow", (event) => event.persisted && location.reload());
