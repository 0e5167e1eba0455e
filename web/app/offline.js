// app/offline.js: has the worker keep the files of which this page is made, so that the inbox opens
// without a network. Which they are, the browser knows: nobody keeps a list.

import { ROOT } from "../net.js";
import { registerWorker } from "../worker.js";

/** What a page may want later, and has not loaded yet. */
const LATER = ["icon.svg", "icon-unread.svg", "icon-192.png", "manifest.webmanifest"];

/**
 * Registers the worker and tells it the files.
 * @returns {Promise<ServiceWorkerRegistration>}
 */
export async function keepOffline() {
  const registration = await registerWorker();
  if (document.readyState !== "complete") {
    await new Promise((resolve) => addEventListener("load", resolve, { once: true }));
  }
  const files = new URL(`${ROOT}static/`, location.href).href;
  const loaded = performance.getEntriesByType("resource").map(({ name }) => name);
  const later = LATER.map((name) => new URL(name, import.meta.url).href);
  const keep = [...new Set([...loaded, ...later])].filter((name) => name.startsWith(files));
  registration.active?.postMessage({ keep });
  return registration;
}
