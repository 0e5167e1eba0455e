// sw.js: the service worker, which the browser wakes for a push: it shows the message, and opens
// what a click on it means. It keeps nothing and fetches nothing. notify.js registers it.

self.addEventListener("push", (event) => {
  event.waitUntil(show(pushed(event)));
});

self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  const { url } = event.notification.data ?? {};
  if (url) event.waitUntil(self.clients.openWindow(url));
});

// A new version takes over at once: it has no page that it could surprise.
self.addEventListener("install", () => self.skipWaiting());

/** What was pushed, or an empty object: a push must be shown, whatever is in it. */
function pushed(event) {
  try {
    return event.data?.json() ?? {};
  } catch {
    return {};
  }
}

function show(pushed) {
  const message = pushed.message ?? {};
  const { id, sequence_id: series, topic, title, time, priority } = message;
  return self.registration.showNotification(title || topic || "doorbell", {
    body: message.message ?? "",
    // Versions of one notification take each other's place.
    tag: `${topic}/${series ?? id}`,
    renotify: true,
    silent: priority !== undefined && priority < 3,
    requireInteraction: priority === 5,
    timestamp: (time ?? 0) * 1000 || Date.now(),
    data: { url: target(message.click) ?? target(pushed.subscription_id) },
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
