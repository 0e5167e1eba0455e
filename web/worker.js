// worker.js: the one service worker of all pages (sw.js), registered for all that is below the
// server's root, wherever that is. It says nothing to people.

import { ROOT } from "./net.js";
import { say } from "./words/say.js";

/**
 * Registers the worker, and waits until it runs.
 * @returns {Promise<ServiceWorkerRegistration>}
 * @throws {Error} where the browser has none, or it did not start
 */
export async function registerWorker() {
  if (!("serviceWorker" in navigator)) throw new Error("this browser has no service workers here");
  const beside = new URL("sw.js", import.meta.url);
  return ready(await navigator.serviceWorker.register(beside, { scope: ROOT }));
}

function ready(registration) {
  const worker = registration.installing ?? registration.waiting ?? registration.active;
  if (worker === null || worker.state === "activated") return registration;
  return new Promise((resolve, reject) => {
    worker.addEventListener("statechange", () => {
      if (worker.state === "activated") resolve(registration);
      if (worker.state === "redundant") reject(new Error(say("notify.notstarted")));
    });
  });
}
