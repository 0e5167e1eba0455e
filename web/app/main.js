// app/main.js: wires the inbox: what comes goes into the messages that are held, what is held onto
// the screen, and what somebody does to both. It has no looks, and no rules of its own about
// messages.

import { find, make, write } from "../elements.js";
import { readConfig } from "../server.js";
import { LANGUAGES, WORDS, sayDocument } from "../words/say.js";
import { Account } from "./account.js";
import { Alerts } from "./alerts.js";
import { badge } from "./badge.js";
import { Catching } from "./catching.js";
import { Commands } from "./commands.js";
import { Compose } from "./compose.js";
import { closeByButtons, note } from "./asking.js";
import { Feed } from "./feed.js";
import { areAllShown, showAll } from "./images.js";
import { Inbox } from "./inbox.js";
import { KEPT, NEWEST, STORE } from "./kept.js";
import { hearKeys, listKeys } from "./keys.js";
import { choose, say } from "./language.js";
import { plainText } from "./message_view.js";
import { keepOffline } from "./offline.js";
import { Scheduled } from "./scheduled.js";
import { Search } from "./search.js";
import { keyOf } from "./series.js";
import { Sidebar } from "./sidebar.js";
import { Status } from "./status.js";
import { Topics } from "./topics.js";
import { View } from "./view.js";

/** What is said of a new message to those who hear the page, and how seldom. */
const SPOKEN = 100;
const SPEAK_EVERY_MS = 4_000;

sayDocument();
closeByButtons();
listKeys();

const topics = new Topics();
const view = new View(topics);
const inbox = new Inbox((topic) => view.isRead(topic));
const refused = new Map();
const sidebar = new Sidebar(topics, inbox, refused);
const search = new Search(refresh);
const scheduled = new Scheduled(() => view.filters.filter((one) => !refused.has(one)), refresh);
const commands = new Commands({ topics, inbox, view, scheduled });
const feed = new Feed({
  nameOf: (topic) => topics.nameOf(topic),
  get withTopic() {
    return !view.isOneTopic;
  },
  onMenu: (message) => commands.menuOf(message),
  onRead: (message) => inbox.read([message.key]),
  onCancel: (message) => commands.cancel(message),
});
const status = new Status(openSettings);
const alerts = new Alerts(topics, keepOffline());
const account = new Account(signOut);
const compose = new Compose(topics, published);
const catching = new Catching({ topics, inbox, refused, onState, onNews });

let spokenAt = 0;
let unspoken = [];
let config = null;

topics.addEventListener("change", topicsChanged);
inbox.addEventListener("change", refresh);
inbox.addEventListener("settled", ({ detail }) => alerts.withdraw(detail));
inbox.addEventListener("forgotten", () => location.reload());
view.addEventListener("change", viewChanged);
addEventListener("pagehide", () => inbox.flush());
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", dropped);
document.addEventListener("visibilitychange", readWhatIsSeen);
navigator.serviceWorker?.addEventListener("message", ({ data }) => {
  if (typeof data.open === "string") view.choose(data.open);
});
find("new-button").addEventListener("click", () => compose.open(view.filter));
find("read-all").addEventListener("click", () => inbox.read(listed().map(({ key }) => key)));
find("topic-menu").addEventListener("click", () => commands.menuOfTopic());
find("settings-button").addEventListener("click", openSettings);
find("help-button").addEventListener("click", openHelp);
find("s-language").append(...LANGUAGES.map(({ lang, own }) => new Option(own, lang)));
find("s-language").value = WORDS.lang;
find("s-language").addEventListener("change", ({ target }) => choose(target.value));
find("s-images").checked = areAllShown;
find("s-images").addEventListener("change", ({ target }) => {
  showAll(target.checked);
  feed.reset();
  refresh();
});
hearKeys({
  next: () => feed.step(1),
  previous: () => feed.step(-1),
  open: (article) => commands.open(article),
  toggle: (article) => commands.toggle(article),
  remove: (article) => commands.remove(article),
  undo: () => commands.undo(),
  search: () => find("search").focus(),
  compose: () => compose.open(view.filter),
  help: openHelp,
  leave: () => search.leave(),
}, () => feed.focused);

inbox.hold(await NEWEST);
viewChanged();
requestAnimationFrame(() => performance.mark("inbox-shown"));
const { messages, place } = await KEPT;
inbox.hold(messages);
inbox.keepIn(await STORE, place);
if ((await STORE) === null) note(say("not_kept"));
readWhatIsSeen();
refresh();
catching.begin();
learn();

/** Shows what is held, as it is now. */
function refresh() {
  sidebar.refresh(view.filter);
  const list = listed();
  feed.show(list);
  showNames(list);
  const name = view.filter === "" ? say("all") : topics.of(view.filter)?.name || view.filter;
  badge(inbox.unreadWhere((topic) => topic !== "" && !topics.isMuted(topic)), name);
  document.body.dataset.held = String(list.length);
}

/** The messages of the view. */
function listed() {
  if (scheduled.isShown) return scheduled.list;
  const found = search.finder();
  return inbox.list((message) => view.holds(message) && found(message));
}

function showNames(list) {
  const { filter } = view;
  write(find("view-title"), filter === "" ? say("all") : topics.of(filter)?.name || filter);
  const kind = scheduled.isShown ? "waiting" : search.isOn ? "found" : "count";
  write(find("view-note"), say(kind, { n: list.length }));
  find("topic-menu").hidden = topics.of(filter) === undefined;
  find("scheduled-button").hidden = topics.list.length === 0;
  find("read-all").hidden = scheduled.isShown || !list.some(({ unread }) => unread);
  find("empty").hidden = list.length > 0;
  if (list.length > 0) return;
  const words = find("empty");
  if (scheduled.isShown) write(words, say("empty_scheduled"));
  else if (search.isOn) write(words, say("empty_found"));
  else if (topics.list.length === 0) words.replaceChildren(say("empty_topics"), adding());
  else if (refused.has(filter)) write(words, refused.get(filter));
  else {
    const example = document.createElement("code");
    const topic = (filter || topics.list[0].filter).replaceAll(/[*>]/g, "new");
    const server = new URL(".", location.href).href;
    example.textContent = `curl -d "${say("hello")}" ${server}${topic}`;
    words.replaceChildren(say("empty_topic"), example);
  }
}

/** The button that leads to where a topic is added, which a phone does not show. */
function adding() {
  const button = make("button", { type: "button", class: "primary" }, say("add_label"));
  button.addEventListener("click", () => sidebar.invite());
  return button;
}

function viewChanged() {
  if (view.unlisted) sidebar.suggest(view.unlisted);
  scheduled.hide();
  feed.reset();
  readWhatIsSeen();
  refresh();
}

function topicsChanged() {
  inbox.keepOnly((topic) => topics.holds(topic));
  for (const filter of refused.keys()) if (!topics.of(filter)) refused.delete(filter);
  view.topicsChanged();
  catching.topicsChanged();
  refresh();
}

/** What one topic has is read when it is seen; all topics together are only looked through. */
function readWhatIsSeen() {
  const seen = inbox.list(({ unread, event }) => unread && view.isRead(event.topic));
  if (seen.length > 0) inbox.read(seen.map(({ key }) => key));
}

function onState(state) {
  status.show(state);
  if (state.kind === "up" && config === null) learn();
}

/** A message that was not here before, and is no history. */
function onNews(message) {
  alerts.offer(message.event);
  unspoken.push(message.event);
  if (unspoken.length > 1) return;
  const wait = Math.max(200, spokenAt + SPEAK_EVERY_MS - performance.now());
  setTimeout(speakNews, wait);
}

function speakNews() {
  const heard = unspoken.filter(({ topic }) => !topics.isMuted(topic));
  unspoken = [];
  spokenAt = performance.now();
  const last = heard.at(-1);
  if (!last) return;
  const text = plainText(last).slice(0, SPOKEN);
  const values = { n: heard.length, topic: topics.nameOf(last.topic), text };
  write(find("spoken"), say("arrived", values));
}

function published(event, told) {
  note(told);
  // Whoever wrote it has read it.
  if (event.topic) inbox.read([keyOf(event)]);
  if (event.topic && !topics.holds(event.topic)) topics.add(event.topic);
  scheduled.fetchIfShown();
}

/** Nothing of what somebody read stays for whoever comes next. */
function signOut() {
  catching.end();
  return Promise.all([inbox.forget(), alerts.end()]);
}

async function learn() {
  config = await readConfig();
  catching.learned(config);
  account.learned(config);
  alerts.learned(config);
}

/** A file that is dropped on the page is to be published; the browser would leave for it. */
function dropped(event) {
  if (event.defaultPrevented) return;
  event.preventDefault();
  const file = event.dataTransfer?.files[0];
  if (!file || document.querySelector("dialog[open]")) return;
  compose.open(view.filter);
  compose.attach(file);
}

function openSettings() {
  if (!find("settings").open) find("settings").showModal();
}

function openHelp() {
  find("settings").close();
  find("help").showModal();
}
