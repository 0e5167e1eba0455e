// app/language.js: the words of the inbox, which are those of all pages under `inbox`, and the
// choice of another language. It holds none itself: words/ does.

import { say as sayOfPage } from "../words/say.js";

/**
 * A text of the inbox.
 * @param {string} key
 * @param {Record<string, string|number>} [values] for its places
 * @returns {string}
 */
export function say(key, values) {
  return sayOfPage(`inbox.${key}`, values);
}

/**
 * Opens the page again in another language, which is that of all pages from then on.
 * @param {string} lang
 */
export function choose(lang) {
  const address = new URL(location.href);
  address.searchParams.set("language", lang);
  location.assign(address);
}
