// app/language.js: the words of the inbox, in the language that words/say.js has chosen for all
// pages. It holds none itself: words/ beside it does.

import { WORDS as PAGE, fill } from "../words/say.js";
import chinese from "./words/chinese.js";
import english from "./words/english.js";

/** The languages, the first one for everybody whose own is not among them. */
export const LANGUAGES = [english, chinese];

const WORDS = LANGUAGES.find(({ lang }) => lang === PAGE.lang) ?? english;

/** Where the words of an element go, by its attribute. */
const PLACES = {
  "data-word": (element, text) => (element.textContent = text),
  "data-word-label": (element, text) => element.setAttribute("aria-label", text),
  "data-word-placeholder": (element, text) => element.setAttribute("placeholder", text),
};

/**
 * The words of a key, with values in their places.
 * @param {string} key
 * @param {Record<string, string|number>} [values]
 * @returns {string}
 */
export function say(key, values = {}) {
  const text = (values.n === 1 && WORDS[`${key}_one`]) || WORDS[key] || english[key] || key;
  return fill(text, values);
}

/** @returns {string} the language's name for `lang`, and for how dates are written */
export function locale() {
  return WORDS.lang;
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

/** Puts the words into the page as it stands in app.html. */
export function speak() {
  document.documentElement.lang = WORDS.lang;
  for (const [attribute, put] of Object.entries(PLACES)) {
    for (const element of document.querySelectorAll(`[${attribute}]`)) {
      put(element, say(element.getAttribute(attribute)));
    }
  }
}
