// app/when.js: moments as people write them, in the language of the page: the time alone where it
// is today, the date with it where it is not.

import { make } from "../elements.js";
import { WORDS } from "../words/say.js";

const TIME = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
const DAY = { ...TIME, month: "short", day: "numeric" };
const YEAR = { ...DAY, year: "numeric" };

/** Making one takes long, so each is made once. */
const formats = new Map();

/**
 * A moment, as short as it is clear.
 * @param {number} seconds of unix time
 * @returns {string}
 */
export function when(seconds) {
  const moment = new Date(seconds * 1000);
  if (Number.isNaN(moment.getTime())) return "";
  const now = new Date();
  if (moment.toDateString() === now.toDateString()) return format("time", TIME).format(moment);
  const isThisYear = moment.getFullYear() === now.getFullYear();
  return (isThisYear ? format("day", DAY) : format("year", YEAR)).format(moment);
}

/**
 * The same as an element, which says the whole of it when it is pointed at.
 * @param {number} seconds
 * @returns {HTMLElement}
 */
export function timeElement(seconds) {
  const moment = new Date(seconds * 1000);
  if (Number.isNaN(moment.getTime())) return make("time");
  const title = format("full", { dateStyle: "full", timeStyle: "medium" }).format(moment);
  return make("time", { datetime: moment.toISOString(), title }, when(seconds));
}

function format(name, options) {
  const key = `${WORDS.lang} ${name}`;
  if (!formats.has(key)) formats.set(key, new Intl.DateTimeFormat(WORDS.lang, options));
  return formats.get(key);
}
