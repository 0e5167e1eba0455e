// tour/language.js: which language the tour speaks, and how its texts become nodes. It holds no
// words (english.js and chinese.js do) and never makes markup of a text's characters.

import { CHINESE } from "./chinese.js";
import { ENGLISH } from "./english.js";

/**
 * @typedef {object} Texts
 * @property {string} lang for the attribute of that name
 * @property {string} own the language's name in itself
 * @property {Record<string, string>} frame words around the steps
 * @property {Record<string, StepTexts>} steps by the keys of steps.js
 *
 * @typedef {object} StepTexts
 * @property {string} name short, for the numbered list
 * @property {string} title
 * @property {string[]} paragraphs
 * @property {string} figure what the figure shows
 * @property {string} show label of the button that goes to the part of the page spoken of
 * @property {Record<string, Record<string, string>>} tasks by key: text, waiting, done and more
 */

/** The languages, the first one for everybody whose own is not among them. */
export const LANGUAGES = [ENGLISH, CHINESE];

const MEMORY = "doorbell.language";

/** What stands for code, for weight and for a value in a text. */
const PIECES = /`([^`]+)`|\*\*(.+?)\*\*/g;
const VALUES = /\{([a-z]+)\}/g;

/**
 * The language chosen at an earlier visit, else the first one of the browser's that there is.
 * @returns {Texts}
 */
export function firstLanguage() {
  const wanted = [remembered(), ...(navigator.languages ?? [navigator.language])];
  for (const name of wanted) {
    const found = LANGUAGES.find((texts) => primary(texts.lang) === primary(name));
    if (found) return found;
  }
  return LANGUAGES[0];
}

/**
 * Remembers a choice for the next visit, where the browser allows it.
 * @param {Texts} texts
 */
export function rememberLanguage(texts) {
  try {
    localStorage.setItem(MEMORY, texts.lang);
  } catch {
    // Storage may be switched off; then the browser's language decides again next time.
  }
}

/**
 * Puts values in the places of a text.
 * @param {string} text
 * @param {Record<string, string|number>} [values]
 * @returns {string}
 */
export function fill(text, values = {}) {
  return text.replace(VALUES, (place, name) => values[name] ?? place);
}

/**
 * A text as nodes: `code` and **strong**, everything else as it stands.
 * @param {string} text
 * @returns {(Node|string)[]}
 */
export function nodesOf(text) {
  const nodes = [];
  let end = 0;
  for (const match of text.matchAll(PIECES)) {
    nodes.push(text.slice(end, match.index));
    const node = document.createElement(match[1] ? "code" : "strong");
    node.textContent = match[1] ?? match[2];
    nodes.push(node);
    end = match.index + match[0].length;
  }
  nodes.push(text.slice(end));
  return nodes.filter((node) => node !== "");
}

function remembered() {
  try {
    return localStorage.getItem(MEMORY) ?? "";
  } catch {
    return "";
  }
}

function primary(name) {
  return String(name ?? "").toLowerCase().split("-")[0];
}
