// app/asking.js: questions, menus and short notes. Each is an element of app.html that is filled
// and shown; nothing here knows what is asked about.

import { find, make, write } from "../elements.js";
import { say } from "./language.js";

/** How long a note stays: longer where somebody may want to press its button. */
const NOTE_MS = 5_000;
const OFFER_MS = 12_000;

let noteTimer = null;

/** Makes the buttons that close a dialog do so, and a click beside it. */
export function closeByButtons() {
  for (const dialog of document.querySelectorAll("dialog")) {
    dialog.addEventListener("click", ({ target }) => {
      if (target === dialog || target.closest(".close")) dialog.close();
    });
  }
}

/**
 * Shows a note for a while, also to those who hear the page.
 * @param {string} text
 * @param {{label: string, act: () => void}} [offer] a button of the note
 */
export function note(text, offer) {
  const toast = find("toast");
  const hide = () => (toast.hidden = true);
  toast.replaceChildren(text);
  if (offer) {
    const button = make("button", { type: "button" }, offer.label);
    button.addEventListener("click", () => {
      hide();
      offer.act();
    });
    toast.append(" ", button);
  }
  toast.hidden = false;
  write(find("spoken"), text);
  clearTimeout(noteTimer);
  noteTimer = setTimeout(hide, offer ? OFFER_MS : NOTE_MS);
}

/**
 * Asks whether something shall be done, or for a text.
 * @param {object} question
 * @param {string} question.title
 * @param {string} [question.text]
 * @param {string} question.yes what the button says that does it
 * @param {{label: string, value: string, longest: number}} [question.field] asks for a text
 * @returns {Promise<string|null>} the text, empty if none was asked for; null if it was refused
 */
export function ask({ title, text = "", yes, field }) {
  const dialog = find("ask");
  write(find("ask-title"), title);
  write(find("ask-text"), text);
  write(find("ask-yes"), yes);
  find("ask-text").hidden = text === "";
  find("ask-field").hidden = field === undefined;
  const input = find("ask-input");
  write(find("ask-label"), field?.label ?? "");
  input.value = field?.value ?? "";
  input.maxLength = field?.longest ?? 100;
  dialog.returnValue = "no";
  dialog.showModal();
  (field ? input : find("ask-yes")).focus();
  const yesByEnter = (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    dialog.close("yes");
  };
  input.addEventListener("keydown", yesByEnter);
  return new Promise((resolve) => {
    const closed = () => {
      input.removeEventListener("keydown", yesByEnter);
      resolve(dialog.returnValue === "yes" ? input.value.trim() : null);
    };
    dialog.addEventListener("close", closed, { once: true });
  });
}

/**
 * Shows what can be done.
 * @param {string} title
 * @param {{label: string, act: () => void, isGrave?: boolean}[]} entries
 */
export function menu(title, entries) {
  const dialog = find("menu");
  write(find("menu-title"), title);
  const items = entries.map(({ label, act, isGrave }) => {
    const button = make("button", { type: "button", class: isGrave ? "grave" : "" }, label);
    button.addEventListener("click", () => {
      dialog.close();
      act();
    });
    return make("li", {}, button);
  });
  find("menu-list").replaceChildren(...items);
  dialog.showModal();
}

/**
 * Puts a text into the clipboard.
 * @param {string} text
 * @param {string} [told] what is said then
 */
export async function copy(text, told = say("copied")) {
  try {
    await navigator.clipboard.writeText(text);
    note(told);
  } catch {
    note(say("not_copied"));
  }
}
