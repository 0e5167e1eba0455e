// sw.js: the service worker. The browser wakes it for a push: it shows the message, and opens what
// a click on it means. And it keeps the inbox's own files, so that the inbox opens without a
// network. It never keeps an answer of the server's interface: messages are the page's. worker.js
// registers it.

/** The files of the inbox as they were fetched last. Another number throws them away. */
const CACHE = "doorbell-app-1";

/** The server's root: this file is in a folder below it. */
const ROOT = new URL("../", self.location.href);
const APP = new URL("app", ROOT).href;
const FILES = new URL("static/", ROOT).href;

/** A network that does not answer by then is taken for none, if there is a file to go on with. */
const PATIENCE_MS = 4_000;

self.addEventListener("push", (event) => {
  event.waitUntil(show(pushed(event)));
});

self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  const { url, topic } = event.notification.data ?? {};
  event.waitUntil(url ? self.clients.openWindow(url) : openInbox(topic));
});

// A new version takes over at once: it has no page that it could surprise.
self.addEventListener("install", (event) => {
  self.skipWaiting();
  // Where the browser can be told so, it asks this worker for the inbox's files and nothing else.
  const isOurs = [{ urlPattern: new URLPattern(APP) }, { urlPattern: new URLPattern(`${FILES}*`) }];
  const others = { condition: { not: { or: isOurs } }, source: "network" };
  event.waitUntil(Promise.resolve(event.addRoutes?.([others])).catch(() => {}));
});

self.addEventListener("activate", (event) => {
  event.waitUntil(Promise.all([self.clients.claim(), forgetOthers()]));
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const name = nameOf(request);
  if (name !== null) event.respondWith(networkFirst(request, name));
});

// A page says which files it is made of, or which message it wants to have shown.
self.addEventListener("message", (event) => {
  const { keep, notify } = event.data ?? {};
  if (Array.isArray(keep)) event.waitUntil(keepFiles(keep));
  if (notify) event.waitUntil(show(notify));
});

/** Under which name an answer is kept; null if it is none of ours. */
function nameOf({ method, url, mode }) {
  if (method !== "GET") return null;
  const bare = url.split(/[?#]/, 1)[0];
  if (bare === APP && mode === "navigate") return APP;
  return bare.startsWith(FILES) ? bare : null;
}

async function networkFirst(request, name) {
  const fetched = fetch(request);
  const kept = await caches.match(name, { cacheName: CACHE });
  if (!kept) return fetched;
  const late = new Promise((resolve) => setTimeout(resolve, PATIENCE_MS, kept));
  const good = fetched.then(async (answer) => {
    // A proxy before a server that is gone answers too.
    if (answer.status >= 500) return kept;
    const isNew = answer.ok && answer.headers.get("ETag") !== kept.headers.get("ETag");
    if (isNew) await (await caches.open(CACHE)).put(name, answer.clone());
    return answer;
  });
  return Promise.race([good.catch(() => kept), late]);
}

/** Keeps these files, and none that the page has no use for any more. */
async function keepFiles(addresses) {
  const wanted = [APP, ...addresses.filter((address) => nameOf({ method: "GET", url: address }))];
  const cache = await caches.open(CACHE);
  const kept = new Set((await cache.keys()).map(({ url }) => url));
  for (const url of kept) if (!wanted.includes(url)) await cache.delete(url);
  const missing = wanted.filter((url) => !kept.has(url));
  await Promise.all(missing.map((url) => cache.add(url).catch(() => {})));
}

async function forgetOthers() {
  for (const name of await caches.keys()) {
    if (name.startsWith("doorbell-") && name !== CACHE) await caches.delete(name);
  }
}

/** Shows the inbox at a topic: in the window that it has, or in a new one. */
async function openInbox(topic) {
  const address = `${APP}#${encodeURIComponent(topic ?? "")}`;
  const windows = await self.clients.matchAll({ type: "window", includeUncontrolled: true });
  const inbox = windows.find(({ url }) => url.split(/[?#]/, 1)[0] === APP);
  if (!inbox) return self.clients.openWindow(address);
  inbox.postMessage({ open: topic ?? "" });
  return inbox.focus();
}

/** What was pushed, or an empty object: a push must be shown, whatever is in it. */
function pushed(event) {
  try {
    return event.data?.json() ?? {};
  } catch {
    return {};
  }
}

/** What says that nobody has opened the page for long: nothing is pushed unless somebody does. */
function showExpiring() {
  const isChinese = navigator.language.startsWith("zh");
  return self.registration.showNotification("doorbell", {
    body: isChinese ? "打开页面，才能继续收到通知。" : "Open the page to go on being notified.",
    icon: `${FILES}app/icon-192.png`,
    tag: "subscription_expiring",
    data: {},
  });
}

function show(pushed) {
  if (pushed.event === "subscription_expiring") return showExpiring();
  const message = pushed.message ?? {};
  const { id, sequence_id: series, topic, title, time, priority } = message;
  const url = target(message.click);
  return self.registration.showNotification(title || topic || "doorbell", {
    body: message.message ?? "",
    icon: `${FILES}app/icon-192.png`,
    // Versions of one notification take each other's place.
    tag: `${topic}/${series ?? id}`,
    renotify: true,
    silent: priority !== undefined && priority < 3,
    requireInteraction: priority === 5,
    timestamp: (time ?? 0) * 1000 || Date.now(),
    data: url ? { url } : { topic },
  });
}

/** An address of the web, or null. */
function target(address) {
  try {
    const url = new URL(address);
    return ["https:", "http:"].includes(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}
