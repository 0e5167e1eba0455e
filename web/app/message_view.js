// app/message_view.js: one message as an element. Its words come from strangers: they go in as
// text, within bounds, or as nodes that markdown.js makes. What happens on a click is told to the
// caller.

import { make } from "../elements.js";
import { bytes } from "../format.js";
import { actionsOf } from "./actions.js";
import { attachmentOf } from "./attachment.js";
import { emojiOf } from "./emoji.js";
import { isShown } from "./images.js";
import { say } from "./language.js";
import { isOfWeb, link, webAddress, withLinks } from "./links.js";
import { markdown } from "./markdown.js";
import { timeElement, when } from "./when.js";

/** A text that is longer, in characters or lines, is shown in part until somebody wants all. */
const LONG_TEXT = 900;
const LONG_LINES = 12;

/** The longest title, and tag, and how many tags. */
const TITLE_SHOWN = 300;
const TAG_SHOWN = 60;
const TAGS_SHOWN = 12;

/** What is read aloud of a message before it is entered. */
const SPOKEN = 120;

const USUAL_PRIORITY = 3;

/**
 * @typedef {object} Context what the view asks of the page
 * @property {(topic: string) => string} nameOf what a topic is called
 * @property {boolean} withTopic whether the topic is shown
 * @property {(message: import("./inbox.js").Message) => void} onMenu
 * @property {(message: import("./inbox.js").Message) => void} onRead it was used, so it is read
 * @property {(message: import("./inbox.js").Message) => void} onCancel
 */

/**
 * The element of a message.
 * @param {import("./inbox.js").Message} message
 * @param {Context} context
 * @returns {HTMLElement}
 */
export function messageView(message, context) {
  const { event } = message;
  if (event.event === "gap") return gapView(message);
  const priority = event.priority ?? USUAL_PRIORITY;
  const article = make("article", {
    class: `message p${priority}`,
    tabindex: "0",
    "data-key": message.key,
    "aria-label": spokenOf(event, context),
  });
  const body = make("div", { class: "m-body" }, ...headOf(message, context), ...textOf(event));
  body.append(...tagsOf(event), ...attachmentOf(event));
  body.append(...actionsOf(event, () => context.onRead(message)));
  if (message.isWaiting) body.append(waitingOf(message, context));
  else article.append(menuButton(message, context));
  article.prepend(...iconOf(event), body);
  showRead(article, message);
  return article;
}

/**
 * Shows whether the message is read.
 * @param {HTMLElement} article
 * @param {import("./inbox.js").Message} message
 */
export function showRead(article, { unread }) {
  article.classList.toggle("is-unread", unread);
  const dot = article.querySelector(".m-unread");
  if (dot) dot.hidden = !unread;
}

/**
 * Where a click on the message leads, if it does.
 * @param {object} event
 * @returns {string|null}
 */
export function targetOf(event) {
  return webAddress(event.click);
}

/**
 * The text of a message as it is searched, copied and notified: title and text.
 * @param {object} event
 * @returns {string}
 */
export function plainText(event) {
  const text = event.encoding === "base64" ? say("binary", { size: sizeOf(event) }) : event.message;
  return [event.title, text].filter(Boolean).join("\n");
}

function gapView({ key, event }) {
  const known = ["expired", "foreign", "damaged", "lost"].includes(event.gap?.reason);
  const text = say(`gap_${known ? event.gap.reason : "other"}`);
  const attributes = { class: "gap", tabindex: "0", "data-key": key, "aria-label": text };
  return make("article", attributes, text);
}

function headOf(message, { nameOf, withTopic }) {
  const { event } = message;
  const facts = make("p", { class: "m-facts" });
  facts.append(make("span", { class: "m-unread", hidden: "" }, say("is_unread")));
  const priority = event.priority ?? USUAL_PRIORITY;
  if (priority !== USUAL_PRIORITY) {
    facts.append(make("span", { class: "m-priority" }, say(`priority_${priority}`)));
  }
  if (withTopic) facts.append(make("bdi", { class: "m-topic" }, nameOf(event.topic)));
  facts.append(timeElement(event.time));
  const emoji = emojisOf(event);
  const target = targetOf(event);
  if (!event.title) return [facts];
  const title = cut(event.title, TITLE_SHOWN);
  const words = make("h2", { class: "m-title", dir: "auto" });
  if (emoji) words.append(`${emoji} `);
  words.append(target ? link(target, title) : title);
  return [facts, words];
}

function textOf(event) {
  if (event.encoding === "base64") return [binaryOf(event)];
  const text = String(event.message ?? "");
  const isMarkdown = /^text\/(x-)?markdown\b/.test(event.content_type ?? "");
  const box = make("div", { class: isMarkdown ? "m-text m-markdown" : "m-text", dir: "auto" });
  const emoji = event.title ? "" : emojisOf(event);
  const target = event.title ? null : targetOf(event);
  if (emoji) box.append(`${emoji} `);
  const isLink = target && text.length <= TITLE_SHOWN && !/https?:/.test(text);
  if (isMarkdown) box.append(markdown(text));
  else if (isLink) box.append(link(target, text));
  else box.append(...withLinks(text));
  const isLong = text.length > LONG_TEXT || text.split("\n", LONG_LINES + 1).length > LONG_LINES;
  return isLong ? [box, unfolding(box)] : [box];
}

/** The button that shows all of a long text. */
function unfolding(box) {
  box.classList.add("is-folded");
  const attributes = { type: "button", class: "m-unfold", "aria-expanded": "false" };
  const button = make("button", attributes, say("more_text"));
  button.addEventListener("click", () => {
    const folded = box.classList.toggle("is-folded");
    button.textContent = say(folded ? "more_text" : "less_text");
    button.setAttribute("aria-expanded", String(!folded));
  });
  return button;
}

/** What is no text: its size, and a button that makes a file of it. */
function binaryOf(event) {
  const button = make("button", { type: "button", class: "action" }, say("save"));
  button.addEventListener("click", () => {
    const content = Uint8Array.from(decoded(event), (sign) => sign.charCodeAt(0));
    const address = URL.createObjectURL(new Blob([content]));
    make("a", { href: address, download: `${event.topic}-${event.id}.bin` }).click();
    setTimeout(() => URL.revokeObjectURL(address), 1000);
  });
  return make("p", { class: "m-text" }, say("binary", { size: sizeOf(event) }), " ", button);
}

function sizeOf(event) {
  return bytes(decoded(event).length);
}

function decoded(event) {
  try {
    return atob(event.message ?? "");
  } catch {
    return "";
  }
}

function tagsOf(event) {
  const words = tagsIn(event).filter((tag) => !emojiOf(tag));
  if (words.length === 0) return [];
  const marks = words.map((tag) => make("bdi", { class: "m-tag" }, cut(tag, TAG_SHOWN)));
  return [make("p", { class: "m-tags" }, ...marks)];
}

function emojisOf(event) {
  return tagsIn(event).map(emojiOf).filter(Boolean).join(" ");
}

function tagsIn(event) {
  return Array.isArray(event.tags) ? event.tags.slice(0, TAGS_SHOWN).map(String) : [];
}

function iconOf(event) {
  const address = webAddress(event.icon);
  if (!address || !isOfWeb(address) || !isShown(address)) return [];
  const image = make("img", { class: "m-icon", src: address, alt: "", loading: "lazy" });
  image.addEventListener("error", () => image.remove());
  return [image];
}

function menuButton(message, { onMenu }) {
  const button = make("button", {
    type: "button",
    class: "m-menu",
    "aria-haspopup": "dialog",
    "aria-label": say("message_menu"),
  }, "⋯");
  button.addEventListener("click", () => onMenu(message));
  return button;
}

function waitingOf(message, { onCancel }) {
  const due = make("span", { class: "m-due" }, say("due", { time: when(message.event.time) }));
  const button = make("button", { type: "button", class: "action" }, say("cancel_scheduled"));
  button.addEventListener("click", () => onCancel(message));
  return make("p", { class: "m-actions" }, due, button);
}

function spokenOf(event, { nameOf }) {
  const named = say("message_named", { topic: nameOf(event.topic) });
  return `${named}: ${cut(plainText(event), SPOKEN)}`;
}

function cut(value, longest) {
  const text = typeof value === "string" ? value : "";
  return text.length > longest ? `${text.slice(0, longest)}…` : text;
}
