// copy.js: a text into the clipboard, and a button that does it and says so.

import { make } from "./elements.js";
import { say } from "./words/say.js";

/** How long a button says that it has copied. */
const COPIED_MS = 2000;

/**
 * Copies a text. Without the clipboard, as on plain HTTP, it is selected instead.
 * @param {string} text
 * @param {HTMLElement} shown where the same text stands
 * @returns {Promise<boolean>} whether it is in the clipboard
 */
export async function copy(text, shown) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    getSelection()?.selectAllChildren(shown);
    return document.execCommand?.("copy") ?? false;
  }
}

/**
 * A button that copies a line.
 * @param {string} line
 * @param {HTMLElement} shown where the line stands
 * @param {string} what names it for those who do not see which line it belongs to
 * @param {(text: string) => void} announce
 * @returns {HTMLButtonElement}
 */
export function copyButton(line, shown, what, announce) {
  const button = make("button", { type: "button", class: "quiet" }, say("page.copy"));
  button.setAttribute("aria-label", `${say("page.copy")}: ${what}`);
  button.addEventListener("click", async () => {
    const copied = await copy(line, shown);
    button.textContent = say(copied ? "page.copied" : "page.selected");
    announce(say(copied ? "page.copied" : "page.presskeys"));
    setTimeout(() => (button.textContent = say("page.copy")), COPIED_MS);
  });
  return button;
}
