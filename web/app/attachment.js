// app/attachment.js: what came with a message: an image is shown (images.js says when), sound and
// film of this server are played, everything else is a link with its name, its size and how long
// it is there.

import { make } from "../elements.js";
import { bytes } from "../format.js";
import { imageOf, isImage } from "./images.js";
import { say } from "./language.js";
import { isOfWeb, isOwn, link, webAddress } from "./links.js";
import { when } from "./when.js";

/** What is played, by the first half of its type. */
const PLAYED = ["audio", "video"];

/**
 * What shows the attachment of a message.
 * @param {object} event
 * @returns {HTMLElement[]} one element, or none
 */
export function attachmentOf({ attachment }) {
  const address = webAddress(attachment?.url);
  if (!address) return [];
  const name = String(attachment.name || say("attachment")).slice(0, 200);
  const isGone = attachment.expires !== undefined && attachment.expires * 1000 < Date.now();
  const facts = factsOf(attachment, isGone);
  if (isGone) return [box(make("span", { class: "m-file-name" }, name), facts)];
  const named = link(address, name);
  named.className = "m-file-name";
  return [box(named, facts, shownOf(attachment, address, name))];
}

function box(name, facts, shown = null) {
  const line = make("p", { class: "m-file" }, name);
  if (facts) line.append(make("span", { class: "m-facts" }, facts));
  return make("div", { class: "m-attachment" }, ...(shown ? [shown] : []), line);
}

/** What is seen of a file without opening it, if anything is. */
function shownOf({ type, name, url }, address, label) {
  if (!isOfWeb(address)) return null;
  if (isImage({ type, name, url })) {
    return make("div", {}, imageOf(address, label, opened(address)));
  }
  const kind = type?.split("/")[0];
  return PLAYED.includes(kind) && isOwn(address) ? played(kind, address, label) : null;
}

/** What puts an image into a link to all of it. */
function opened(address) {
  return (image) => {
    const shown = link(address, image);
    shown.className = "m-image";
    return shown;
  };
}

function played(kind, address, label) {
  const attributes = { class: "m-media", src: address, controls: "", preload: "none" };
  const player = make(kind, { ...attributes, "aria-label": label });
  // What this browser cannot play leaves its name.
  player.addEventListener("error", () => player.remove());
  return player;
}

function factsOf({ type, size, expires }, isGone) {
  const known = [];
  if (type) known.push(type.split(";")[0]);
  if (size !== undefined) known.push(bytes(size));
  if (isGone) known.push(say("expired"));
  else if (expires !== undefined) known.push(say("expires", { time: when(expires) }));
  return known.join(" · ");
}
