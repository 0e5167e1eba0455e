// config.js: what the server says of itself at /v1/config: where it listens, what it can do, and
// what each way of receiving is called. It shows nothing.

import { Backoff } from "./backoff.js";
import { ROOT, exchange, parseJson, reasonOf } from "./net.js";
import { forgetToken } from "./token.js";

/**
 * Asks the server for its configuration.
 * @returns {Promise<object|null>} null if it did not say
 */
export async function readConfig() {
  try {
    const answer = await exchange(`${ROOT}v1/config`, {});
    if (answer.status === 401) forgetToken(reasonOf(answer));
    return answer.status === 200 ? parseJson(answer.text) : null;
  } catch {
    return null;
  }
}

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
