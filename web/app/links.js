// app/links.js: addresses in what strangers write: which of them may be followed, and where they
// are in a text. It asks nobody.

import { make } from "../elements.js";
import { ROOT } from "../net.js";

/** What may be opened. Nothing that runs in this page is among them. */
const FOLLOWED = ["https:", "http:", "mailto:", "tel:", "geo:", "sms:", "matrix:", "xmpp:"];

const ADDRESS = /\bhttps?:\/\/[^\s<>"`\u0000-\u001f]+/gi;

/** What rather belongs to the sentence than to the address in it. */
const SENTENCE = /[.,;:!?'*_~，。；：！？、）】》]+$/;

/**
 * An address that may be followed.
 * @param {unknown} text
 * @returns {string|null} the whole address, or null
 */
export function webAddress(text) {
  if (typeof text !== "string") return null;
  try {
    const url = new URL(text);
    return FOLLOWED.includes(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}

/**
 * Whether an address is one that a browser fetches.
 * @param {string} address
 * @returns {boolean}
 */
export function isOfWeb(address) {
  return /^https?:/.test(address);
}

/**
 * Whether an address is this server's, so that the page may show what is there.
 * @param {string} address
 * @returns {boolean}
 */
export function isOwn(address) {
  const url = new URL(address, location.href);
  return url.origin === location.origin && url.pathname.startsWith(ROOT);
}

/**
 * A link to another page.
 * @param {string} address one that `webAddress` has given
 * @param {...(Node|string)} children
 * @returns {HTMLElement}
 */
export function link(address, ...children) {
  return make("a", { href: address, target: "_blank", rel: "noopener noreferrer" }, ...children);
}

/**
 * A text, with links where it has addresses.
 * @param {string} text
 * @returns {(Node|string)[]}
 */
export function withLinks(text) {
  const nodes = [];
  let end = 0;
  for (const { 0: found, index } of text.matchAll(ADDRESS)) {
    let shown = found.replace(SENTENCE, "");
    // A bracket that was opened before the address is closed behind it.
    if (shown.endsWith(")") && !shown.includes("(")) shown = shown.slice(0, -1);
    const address = webAddress(shown);
    if (!address) continue;
    nodes.push(text.slice(end, index), link(address, shown));
    end = index + shown.length;
  }
  nodes.push(text.slice(end));
  return nodes.filter((node) => node !== "");
}
