// app/keys.js: what can be done by keyboard, and the list of it. A key that is typed into a field,
// or with a modifier, is no command.

import { find, make } from "../elements.js";
import { say } from "./language.js";

/** Key, name of what it does, and the word for that. */
const KEYS = [
  [["j", "ArrowDown"], "next", "key_next"],
  [["k", "ArrowUp"], "previous", "key_previous"],
  [["Enter"], "open", "key_open"],
  [["m"], "toggle", "key_read"],
  [["Delete", "x"], "remove", "key_remove"],
  [["z"], "undo", "key_undo"],
  [["/"], "search", "key_search"],
  [["n"], "compose", "key_new"],
  [["?"], "help", "key_help"],
  [["Escape"], "leave", "key_close"],
];

const SHOWN = { ArrowDown: "↓", ArrowUp: "↑", Escape: "Esc" };

/** Commands that are for a message, so that other keys of a page keep their meaning elsewhere. */
const OF_MESSAGE = ["open", "toggle", "remove"];

/**
 * Hears the keys.
 * @param {Record<string, (article: HTMLElement|null) => void>} commands by name
 * @param {() => HTMLElement|null} focused the message that has the focus
 */
export function hearKeys(commands, focused) {
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (document.querySelector("dialog[open]")) return;
    const found = KEYS.find(([keys]) => keys.includes(event.key));
    if (!found) return;
    const [, name] = found;
    const { target } = event;
    const isField = target.matches?.("input, textarea, select");
    if (isField && name !== "leave") return;
    const article = focused();
    if (OF_MESSAGE.includes(name) && target !== article) return;
    // Arrows scroll, unless a message has the focus.
    if (event.key.startsWith("Arrow") && article === null) return;
    if (name !== "leave") event.preventDefault();
    commands[name](article);
  });
}

/** Writes the list, in the language that is spoken. */
export function listKeys() {
  const rows = KEYS.flatMap(([keys, , word]) => [
    make("dt", {}, ...keys.flatMap((key, at) => [
      ...(at > 0 ? [" "] : []),
      make("kbd", {}, SHOWN[key] ?? key),
    ])),
    make("dd", {}, say(word)),
  ]);
  find("keys").replaceChildren(...rows);
}
