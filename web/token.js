// token.js: the token that this page has been given, and how it is shown to the server. It is kept
// for this tab alone, or on wish in this browser, and never in an address. It shows nothing and
// asks nobody: signin.js does.

const MEMORY = "doorbell.token";

/** The sub-protocol that the server chooses, and how the one with the token begins. */
const SUBPROTOCOL = "doorbell";
const SUBPROTOCOL_TOKEN = "bearer.";

let token = remembered();

/** Why the server has not taken the token that there was; empty if it has not said so. */
export let refusal = "";

/** @returns {boolean} whether there is a token */
export function hasToken() {
  return token !== null;
}

/**
 * Keeps a token for this tab.
 * @param {string} given
 * @param {boolean} [longer] also when the tab is closed, until it is forgotten
 * @returns {boolean} false if the browser keeps nothing
 */
export function keepToken(given, longer = false) {
  try {
    (longer ? localStorage : sessionStorage).setItem(MEMORY, given);
  } catch {
    return false;
  }
  token = given;
  return true;
}

/**
 * Forgets the token.
 * @param {string} [why] the server's words, if it did not take it
 */
export function forgetToken(why = "") {
  token = null;
  refusal = why;
  try {
    sessionStorage.removeItem(MEMORY);
    localStorage.removeItem(MEMORY);
  } catch {
    // Where nothing is kept there is nothing to forget.
  }
}

/**
 * The header that shows a token.
 * @param {string} shown
 * @returns {Record<string, string>}
 */
export function bearer(shown) {
  return { Authorization: `Bearer ${shown}` };
}

/**
 * Headers of a request, with the token if there is one and they show no other.
 * @param {Record<string, string>} [headers]
 * @returns {Record<string, string>}
 */
export function withToken(headers = {}) {
  return token === null ? headers : { ...bearer(token), ...headers };
}

/** @returns {string[]} the sub-protocols of a WebSocket, which cannot have a header of its own */
export function subprotocols() {
  if (token === null) return [];
  const base64 = btoa(token).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  return [SUBPROTOCOL, `${SUBPROTOCOL_TOKEN}${base64}`];
}

function remembered() {
  try {
    return sessionStorage.getItem(MEMORY) ?? localStorage.getItem(MEMORY);
  } catch {
    return null;
  }
}
