// app/language.js: which language the inbox speaks, and its words. It holds none itself: words/
// does. The choice is shared with the tour, under the same name in the browser's memory.

import chinese from "./words/chinese.js";
import english from "./words/english.js";

/** The languages, the first one for everybody whose own is not among them. */
export const LANGUAGES = [english, chinese];

const MEMORY = "doorbell.language";
const VALUES = /\{([a-z]+)\}/g;

/** Where the words of an element go, by its attribute. */
const PLACES = {
  "data-word": (element, text) => (element.textContent = text),
  "data-word-label": (element, text) => element.setAttribute("aria-label", text),
  "data-word-placeholder": (element, text) => element.setAttribute("placeholder", text),
};

let words = first();

/**
 * The words of a key, with values in their places.
 * @param {string} key
 * @param {Record<string, string|number>} [values]
 * @returns {string}
 */
export function say(key, values = {}) {
  const text = (values.n === 1 && words[`${key}_one`]) || words[key] || english[key] || key;
  return text.replace(VALUES, (place, name) => values[name] ?? place);
}

/** @returns {string} the language's name for `lang`, and for how dates are written */
export function locale() {
  return words.lang;
}

/**
 * Speaks another language from now on, and on the next visit.
 * @param {string} lang
 */
export function choose(lang) {
  words = LANGUAGES.find((one) => one.lang === lang) ?? words;
  try {
    localStorage.setItem(MEMORY, words.lang);
  } catch {
    // Where nothing is kept the browser's language decides again next time.
  }
}

/** Puts the words into the page as it stands in app.html. */
export function speak() {
  document.documentElement.lang = words.lang;
  for (const [attribute, put] of Object.entries(PLACES)) {
    for (const element of document.querySelectorAll(`[${attribute}]`)) {
      put(element, say(element.getAttribute(attribute)));
    }
  }
}

function first() {
  const wanted = [remembered(), ...(navigator.languages ?? [navigator.language])];
  for (const name of wanted) {
    const found = LANGUAGES.find(({ lang }) => primary(lang) === primary(name));
    if (found) return found;
  }
  return LANGUAGES[0];
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
