// config.js: what the server says of itself at /v1/config: where it listens, what it can do, and
// what each way of receiving is called. It shows nothing.

import { Backoff } from "./backoff.js";
import { readConfig } from "./server.js";

export { readConfig };

/** The configuration with which the page begins: before it is there, nothing else does. */
export const CONFIG = await firstConfig();

async function firstConfig() {
  const backoff = new Backoff();
  for (;;) {
    const config = await readConfig();
    if (config !== null) return config;
    await new Promise((resolve) => setTimeout(resolve, backoff.next()));
  }
}
