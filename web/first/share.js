// first/share.js: a link to the picture as it is set, into the clipboard. Where a page may not
// write there, the link is shown, selected, to be copied by hand.

import { copy } from "../copy.js";
import { find } from "../elements.js";
import { say } from "../words/say.js";

/** How long the button says that it has copied. */
const COPIED_MS = 2500;

/**
 * Connects the button.
 * @param {() => string} link of the page with its present settings
 * @param {(text: string) => void} announce
 */
export function connectShare(link, announce) {
  const button = find("share");
  const shown = find("share-link");
  button.addEventListener("click", async () => {
    shown.textContent = link();
    shown.hidden = navigator.clipboard !== undefined;
    const copied = await copy(shown.textContent, shown);
    shown.hidden = copied;
    const words = say(copied ? "first.shared" : "page.presskeys");
    if (copied) button.textContent = words;
    announce(words);
    setTimeout(() => (button.textContent = say("first.share")), COPIED_MS);
  });
}
