// words/say.js: the page's words in the language of its reader: which language that is, a text by
// its key, and how a text becomes nodes. It holds no words (english.js and the files beside it do),
// and never makes markup of a text's characters.

import { CHINESE } from "./chinese.js";
import { ENGLISH } from "./english.js";

/**
 * @typedef {Record<string, any>} Words texts by key, and further objects of texts; `lang` is for
 *   the attribute of that name, `own` and `short` are the language's name in itself
 */

/** The languages, the first one for everybody whose own is not among them.
 * @type {Words[]} */
export const LANGUAGES = [ENGLISH, CHINESE];

/** Where a choice is remembered, and the parameter of an address that makes one. */
const MEMORY = "doorbell.language";
const PARAMETER = "language";

/** What stands for code, for weight, for what is raised, and for a value in a text. */
const PIECES = /`([^`]+)`|\*\*(.+?)\*\*|\^([^^]+)\^|\{([a-z0-9]+)\}/g;
const ELEMENTS = ["code", "strong", "sup"];
const VALUES = /\{([a-z0-9]+)\}/g;

/** Attributes that hold words: an element names their keys in `data-say-…`. */
const ATTRIBUTES = ["aria-label", "placeholder", "title", "content"];

/** The words of the page. They do not change while it is open: another language is another page. */
export const WORDS = chosen();

/**
 * A text of the page.
 * @param {string} key such as `why.offline`; for a value `n` of one, the text of `KEY_one`, if
 *   there is one
 * @param {Record<string, string|number>} [values] for its places
 * @returns {string}
 */
export function say(key, values) {
  const ofOne = values?.n === 1 ? wordsAt(`${key}_one`) : undefined;
  return fill(ofOne ?? textOf(key), values);
}

/**
 * A text of the page as nodes.
 * @param {string} key
 * @param {Record<string, Node|string|number>} [values]
 * @returns {(Node|string)[]}
 */
export function sayNodes(key, values) {
  return nodesOf(textOf(key), values);
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
 * A text as nodes: `code`, **strong**, ^raised^ and {values}, everything else as it stands.
 * @param {string} text
 * @param {Record<string, Node|string|number>} [values]
 * @returns {(Node|string)[]}
 */
export function nodesOf(text, values = {}) {
  const nodes = [];
  let end = 0;
  for (const match of text.matchAll(PIECES)) {
    nodes.push(text.slice(end, match.index), pieceOf(match, values));
    end = match.index + match[0].length;
  }
  nodes.push(text.slice(end));
  return nodes.filter((node) => node !== "");
}

/** Says everything that the document names a key for: `data-say`, and `data-say-` an attribute. */
export function sayDocument() {
  document.documentElement.lang = WORDS.lang;
  for (const element of document.querySelectorAll("[data-say]")) {
    element.replaceChildren(...sayNodes(element.dataset.say));
  }
  for (const name of ATTRIBUTES) {
    for (const element of document.querySelectorAll(`[data-say-${name}]`)) {
      element.setAttribute(name, say(element.getAttribute(`data-say-${name}`)));
    }
  }
}

/**
 * Puts a link for each language into a place. Each leads to this page as it is then.
 * @param {HTMLElement} place
 */
export function offerLanguages(place) {
  const links = LANGUAGES.map(({ lang, own, short }) => {
    const link = document.createElement("a");
    Object.assign(link, { lang, hreflang: lang, textContent: short });
    link.setAttribute("aria-label", own);
    if (lang === WORDS.lang) link.setAttribute("aria-current", "true");
    const aim = () => {
      const address = new URL(location.href);
      address.searchParams.set(PARAMETER, lang);
      link.href = address.href;
    };
    aim();
    link.addEventListener("pointerdown", aim);
    link.addEventListener("click", aim);
    return link;
  });
  place.replaceChildren(...links);
}

/** The language that the address names, else the one of an earlier visit, else the first one of the
 * browser's that there is. A choice in the address is remembered, and taken out of it. */
function chosen() {
  const address = new URL(location.href);
  const asked = find(address.searchParams.get(PARAMETER));
  if (asked) {
    remember(asked.lang);
    address.searchParams.delete(PARAMETER);
    address.search = address.search.replaceAll("%2C", ",");
    history.replaceState(history.state, "", address);
  }
  const wanted = [remembered(), ...(navigator.languages ?? [navigator.language])];
  return asked ?? wanted.map(find).find(Boolean) ?? LANGUAGES[0];
}

function find(name) {
  const primary = (tag) => String(tag ?? "").toLowerCase().split("-")[0];
  return LANGUAGES.find(({ lang }) => primary(lang) === primary(name));
}

function wordsAt(key) {
  return key.split(".").reduce((words, part) => words?.[part], WORDS);
}

function textOf(key) {
  const text = wordsAt(key);
  if (typeof text === "string") return text;
  console.error(`no words for ${key}`);
  return key;
}

function pieceOf([whole, ...pieces], values) {
  const at = pieces.findIndex((piece) => piece !== undefined);
  const name = ELEMENTS[at];
  if (!name) return values[pieces[at]] ?? whole;
  const element = document.createElement(name);
  element.textContent = fill(pieces[at], values);
  return element;
}

function remember(lang) {
  try {
    localStorage.setItem(MEMORY, lang);
  } catch {
    // Storage may be switched off; then the browser's language decides again next time.
  }
}

function remembered() {
  try {
    return localStorage.getItem(MEMORY) ?? "";
  } catch {
    return "";
  }
}
