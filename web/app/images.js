// app/images.js: which images the page loads by itself: those of this server. One from elsewhere is
// loaded when somebody asks for it, or wants all of them at once: whoever keeps it learns by it
// that it is looked at, when, and from where.

import { make } from "../elements.js";
import { say } from "./language.js";
import { isOwn } from "./links.js";

const MEMORY = "doorbell.inbox.images";

/** What a browser shows that runs nothing, by type and by name. */
const TYPES = ["image/png", "image/jpeg", "image/gif", "image/webp", "image/avif", "image/bmp"];
const NAMES = /\.(?:png|jpe?g|gif|webp|avif|bmp)$/i;

/** Addresses that somebody asked for since the page was opened. */
const asked = new Set();

/** Whether images from elsewhere are loaded at once. */
export let areAllShown = remembered();

/** @param {boolean} wanted whether images from elsewhere are loaded at once, from now on */
export function showAll(wanted) {
  areAllShown = wanted;
  try {
    localStorage.setItem(MEMORY, String(wanted));
  } catch {
    // Where nothing is kept the choice lasts as long as the page.
  }
}

/**
 * Whether an image is loaded without a question.
 * @param {string} address
 * @returns {boolean}
 */
export function isShown(address) {
  return areAllShown || isOwn(address) || asked.has(address);
}

/**
 * Whether a file is an image. The server knows the type of its own files only; of others the name
 * has to tell.
 * @param {{type?: string, name?: string, url: string}} file
 * @returns {boolean}
 */
export function isImage({ type, name, url }) {
  const names = [name ?? "", new URL(url).pathname];
  return type ? TYPES.includes(type) : names.some((one) => NAMES.test(one));
}

/**
 * An image, or the button that loads it.
 * @param {string} address one that `webAddress` has given
 * @param {string} name
 * @param {(image: HTMLElement) => HTMLElement} [around] what the image is put into
 * @returns {HTMLElement}
 */
export function imageOf(address, name, around = (image) => image) {
  if (isShown(address)) return around(loaded(address, name));
  const words = say("show_image", { host: new URL(address).host });
  const button = make("button", { type: "button", class: "m-show" }, words);
  button.addEventListener("click", () => {
    asked.add(address);
    const article = button.closest("article");
    button.replaceWith(around(loaded(address, name)));
    article?.focus({ preventScroll: true });
  });
  return button;
}

function loaded(address, name) {
  const image = make("img", { src: address, alt: name, loading: "lazy", decoding: "async" });
  const failed = () => image.replaceWith(make("span", { class: "note" }, say("image_failed")));
  image.addEventListener("error", failed);
  return image;
}

function remembered() {
  try {
    return localStorage.getItem(MEMORY) === "true";
  } catch {
    return false;
  }
}
