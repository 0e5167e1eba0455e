// app/attachment.js: what came with a message: an image of this server is shown, everything else is
// a link with its name, its size and how long it is there. The page's policy loads nothing from
// elsewhere, and no sound and no film at all.

import { make } from "../elements.js";
import { bytes } from "../format.js";
import { say } from "./language.js";
import { isOwn, link, webAddress } from "./links.js";
import { when } from "./when.js";

const IMAGES = ["image/png", "image/jpeg", "image/gif", "image/webp", "image/avif", "image/bmp"];

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
  const isImage = IMAGES.includes(attachment.type) && isOwn(address);
  return [box(named, facts, isImage ? imageOf(address, name) : null)];
}

function box(name, facts, image = null) {
  const line = make("p", { class: "m-file" }, name);
  if (facts) line.append(make("span", { class: "m-facts" }, facts));
  return make("div", { class: "m-attachment" }, ...(image ? [image] : []), line);
}

function imageOf(address, name) {
  const image = make("img", { src: address, alt: name, loading: "lazy", decoding: "async" });
  const shown = link(address, image);
  shown.className = "m-image";
  // A file that is no longer there leaves its name.
  image.addEventListener("error", () => shown.remove());
  return shown;
}

function factsOf({ type, size, expires }, isGone) {
  const known = [];
  if (type) known.push(type.split(";")[0]);
  if (size !== undefined) known.push(bytes(size));
  if (isGone) known.push(say("expired"));
  else if (expires !== undefined) known.push(say("expires", { time: when(expires) }));
  return known.join(" · ");
}
