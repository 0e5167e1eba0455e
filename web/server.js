// server.js: asks the server what it says of itself at /v1/config. It waits for nothing: config.js
// does, for the pages that cannot begin before they know.

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
