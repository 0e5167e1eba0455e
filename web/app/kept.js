// app/kept.js: begins to read what this browser keeps while the rest of the inbox is still being
// fetched: app.html has it as a script of its own, before main.js.

import { Store } from "./store.js";

/** Messages that are read before all others: more than a screen shows. */
const FIRST = 60;

/** The store, or null where this browser keeps nothing. */
export const STORE = Store.open();

/** Its newest messages, which are there first. */
export const NEWEST = STORE.then((store) => store?.readNewest(FIRST) ?? []);

/** All that is in it. */
export const KEPT = NEWEST.then(async () => {
  const store = await STORE;
  return store?.readAll() ?? { messages: [], place: null };
});
