// app/markdown.js: Markdown as nodes, of the kinds that messages have: headings, paragraphs, lists,
// quotes, code, rules, emphasis, links and images. No text ever becomes markup: each node is made
// here, by name. Which images are loaded, images.js decides.

import { make } from "../elements.js";
import { imageOf, isShown } from "./images.js";
import { isOfWeb, link, webAddress, withLinks } from "./links.js";

/** Longer texts are shown as they are: reading them as Markdown could take long. */
const LONGEST = 20_000;

/** Quotes in quotes, lists in lists, emphasis in emphasis. */
const DEEPEST = 6;

const FENCE = /^ {0,3}(```+|~~~+)/;
const HEADING = /^ {0,3}(#{1,6})\s+(.*?)\s*#*$/;
const RULE = /^ {0,3}(?:(?:\*\s*){3,}|(?:-\s*){3,}|(?:_\s*){3,})$/;
const QUOTE = /^ {0,3}> ?/;
const ITEM = /^( *)(?:[-*+]|(\d{1,9})[.)])\s+(.*)$/;

/**
 * A text as nodes.
 * @param {string} text
 * @returns {Node}
 */
export function markdown(text) {
  const box = document.createDocumentFragment();
  if (text.length > LONGEST) box.append(text);
  else box.append(...blocks(text.split(/\r\n|\n|\r/), 0));
  return box;
}

function blocks(lines, depth) {
  const made = [];
  let at = 0;
  while (at < lines.length) {
    const [node, next] = block(lines, at, depth);
    if (node) made.push(node);
    at = next;
  }
  return made;
}

/** The block that begins at a line, and where the next one begins. */
function block(lines, at, depth) {
  const line = lines[at];
  if (line.trim() === "") return [null, at + 1];
  if (FENCE.test(line)) return code(lines, at);
  const heading = HEADING.exec(line);
  if (heading) {
    // Below the heading of the message, whatever it calls itself.
    const level = Math.min(6, heading[1].length + 2);
    return [make(`h${level}`, {}, ...inline(heading[2], 0)), at + 1];
  }
  if (RULE.test(line)) return [make("hr"), at + 1];
  if (depth < DEEPEST && QUOTE.test(line)) return quote(lines, at, depth);
  if (depth < DEEPEST && ITEM.test(line)) return list(lines, at, depth);
  return paragraph(lines, at, depth);
}

function code(lines, at) {
  const fence = FENCE.exec(lines[at])[1];
  let end = at + 1;
  while (end < lines.length && !lines[end].trim().startsWith(fence)) end += 1;
  const inner = make("code", {}, lines.slice(at + 1, end).join("\n"));
  return [make("pre", { tabindex: "0" }, inner), end + 1];
}

function quote(lines, at, depth) {
  let end = at;
  while (end < lines.length && QUOTE.test(lines[end])) end += 1;
  const inner = lines.slice(at, end).map((line) => line.replace(QUOTE, ""));
  return [make("blockquote", {}, ...blocks(inner, depth + 1)), end];
}

function list(lines, at, depth) {
  const first = ITEM.exec(lines[at]);
  const indent = first[1].length;
  const numbered = first[2] !== undefined;
  const items = [];
  let end = at;
  for (; end < lines.length && lines[end].trim() !== ""; end += 1) {
    const item = ITEM.exec(lines[end]);
    const isSame = item && item[1].length <= indent && (item[2] !== undefined) === numbered;
    if (isSame) items.push([item[3]]);
    else if (item && item[1].length <= indent) break;
    else items.at(-1).push(lines[end].slice(Math.min(indent + 2, leading(lines[end]))));
  }
  const start = numbered && first[2] !== "1" ? { start: String(Number(first[2])) } : {};
  const made = items.map((inner) => {
    const nodes = blocks(inner, depth + 1);
    // An item of one paragraph is its words.
    if (nodes[0]?.nodeName === "P") nodes.splice(0, 1, ...nodes[0].childNodes);
    return make("li", {}, ...nodes);
  });
  return [make(numbered ? "ol" : "ul", start, ...made), end];
}

function leading(line) {
  return line.length - line.trimStart().length;
}

function paragraph(lines, at, depth) {
  let end = at + 1;
  while (end < lines.length && !endsParagraph(lines[end], depth)) end += 1;
  const nodes = lines.slice(at, end).flatMap((line, n) => [
    ...(n > 0 ? [make("br")] : []),
    ...inline(line.trim(), 0),
  ]);
  return [make("p", {}, ...nodes), end];
}

function endsParagraph(line, depth) {
  if (line.trim() === "" || FENCE.test(line) || HEADING.test(line) || RULE.test(line)) return true;
  return depth < DEEPEST && (QUOTE.test(line) || ITEM.test(line));
}

/** The pairs of signs around a piece, the longer ones first, and what they mean. */
const PAIRS = [
  ["***", "strong", "em"],
  ["**", "strong"],
  ["__", "strong"],
  ["~~", "del"],
  ["*", "em"],
  ["_", "em"],
];

/** Words with emphasis, code, links and images. */
function inline(text, depth) {
  if (depth > DEEPEST) return [text];
  const nodes = [];
  // Signs that nothing closes from here on: to look for it again at each of them would take long.
  const open = new Set();
  let plain = "";
  const flush = () => {
    nodes.push(...withLinks(plain));
    plain = "";
  };
  for (let at = 0; at < text.length; ) {
    const piece = text[at] === "\\" ? escaped(text, at) : pieceAt(text, at, depth, open);
    if (piece === null) {
      plain += text[at];
      at += 1;
    } else {
      if (typeof piece.node === "string") plain += piece.node;
      else {
        flush();
        nodes.push(piece.node);
      }
      at = piece.end;
    }
  }
  flush();
  return nodes;
}

function escaped(text, at) {
  const next = text[at + 1] ?? "";
  return /[!-/:-@[-`{-~]/.test(next) ? { node: next, end: at + 2 } : null;
}

function pieceAt(text, at, depth, open) {
  switch (text[at]) {
    case "`":
      return codeAt(text, at, open);
    case "!":
      return text[at + 1] === "[" ? linkAt(text, at + 1, depth, open) : null;
    case "[":
      return linkAt(text, at, depth, open);
    case "*":
    case "_":
    case "~":
      return emphasisAt(text, at, depth, open);
    default:
      return null;
  }
}

function codeAt(text, at, open) {
  const signs = /^`+/.exec(text.slice(at, at + 16))[0];
  const end = open.has(signs) ? -1 : text.indexOf(signs, at + signs.length);
  if (end < 0) {
    open.add(signs);
    return { node: signs, end: at + signs.length };
  }
  const inner = text.slice(at + signs.length, end).trim();
  return { node: make("code", {}, inner), end: end + signs.length };
}

function emphasisAt(text, at, depth, open) {
  for (const [signs, name, within] of PAIRS) {
    if (!text.startsWith(signs, at) || open.has(signs)) continue;
    const begin = at + signs.length;
    // Underlines within a word are part of it.
    if (signs[0] === "_" && /\w/.test(text[at - 1] ?? "")) continue;
    if (/\s|^$/.test(text[begin] ?? "")) continue;
    const end = closing(text, begin, signs);
    if (end < 0) {
      open.add(signs);
      continue;
    }
    const inner = inline(text.slice(begin, end), depth + 1);
    const nodes = within ? [make(within, {}, ...inner)] : inner;
    return { node: make(name, {}, ...nodes), end: end + signs.length };
  }
  return null;
}

function closing(text, begin, signs) {
  let end = text.indexOf(signs, begin + 1);
  while (end >= 0) {
    const isDouble = signs.length === 1 && (text[end + 1] === signs || text[end - 1] === signs);
    const inWord = signs[0] === "_" && /\w/.test(text[end + signs.length] ?? "");
    if (!isDouble && !inWord && !/\s/.test(text[end - 1])) return end;
    end = text.indexOf(signs, end + (isDouble ? 2 : 1));
  }
  return -1;
}

/** An address in brackets, which may hold pairs of brackets itself, and a title behind it. */
const TARGET =
  /^\(\s*<?([^\s<>()]*(?:\([^\s<>()]*\)[^\s<>()]*)*)>?(?:\s+(?:"[^"]*"|'[^']*'))?\s*\)/;
const TARGET_LONGEST = 2_100;

function linkAt(text, at, depth, open) {
  if (depth > DEEPEST) return null;
  const isImage = text[at - 1] === "!";
  // An image that is a link has an address of its own before the link's.
  const image = text.startsWith("![", at + 1) ? linkAt(text, at + 2, depth + 1, open) : null;
  const end = open.has("](") ? -1 : text.indexOf("](", image?.end ?? at);
  if (end < 0) {
    if (image === null) open.add("](");
    return null;
  }
  const label = text.slice(at + 1, end);
  if (label.includes("[") && !label.startsWith("![")) return null;
  const target = TARGET.exec(text.slice(end + 1, end + 1 + TARGET_LONGEST));
  const address = target && webAddress(target[1]);
  if (!address) return null;
  const node = isImage ? pictured(address, label) : link(address, ...labelled(label, depth));
  return { node, end: end + 1 + target[0].length };
}

/** An image; beside the button that loads it, what it is called leads to it. */
function pictured(address, label) {
  const named = link(address, label || address);
  if (!isOfWeb(address)) return named;
  const image = imageOf(address, label);
  return isShown(address) ? image : make("span", { class: "m-unseen" }, named, " ", image);
}

/** The words of a link, in which no other link and no button is. */
function labelled(label, depth) {
  const box = make("span", {}, ...inline(label, depth + 1));
  for (const unseen of box.querySelectorAll(".m-unseen")) unseen.replaceWith(unseen.firstChild);
  for (const inner of box.querySelectorAll("a")) inner.replaceWith(...inner.childNodes);
  return [...box.childNodes];
}
