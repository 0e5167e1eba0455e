// tour/bytes.js: the live figure of the tour's first step: type an address and see its bytes in
// the order in which they travel. address.js does the reading; nothing is sent anywhere.

import { AddressError, addressBytes } from "./address.js";
import { make } from "../elements.js";
import { WORDS, fill, nodesOf } from "../words/say.js";

/** Longer texts cannot be an address of any kind, and are cut by the box. */
const TEXT_MAX = 200;

/** From so many zeros in a row on, IPv6 zeros are drawn fainter, so that the rest is seen. */
const ZEROS_MIN = 4;

/**
 * The box and what it shows.
 * @param {{first: string, examples: string[]}} offer what stands in the box, and what else could
 * @param {() => void} onLook called when a person has looked at a valid address
 * @returns {HTMLElement}
 */
export function addressFigure(offer, onLook) {
  const texts = WORDS.tour.bytes;
  const box = make("input", {
    type: "text", id: "tour-address", maxlength: TEXT_MAX, value: offer.first, autocomplete: "off",
    autocapitalize: "none", spellcheck: "false", "aria-describedby": "tour-address-bytes",
  });
  const label = make("label", { for: "tour-address" }, texts.label);
  const shown = make("div", { class: "tour-bytes", id: "tour-address-bytes", "aria-live": "polite" });
  const show = () => shown.replaceChildren(...picture(box.value, texts));
  const look = () => {
    show();
    if (isAddress(box.value)) onLook();
  };
  box.addEventListener("input", look);
  const examples = offer.examples.map((example) => {
    const button = make("button", { class: "quiet", type: "button" }, make("code", {}, example));
    button.addEventListener("click", () => {
      box.value = example;
      look();
    });
    return button;
  });
  const name = make("span", { class: "note" }, texts.examples);
  const row = make("div", { class: "tour-examples" }, name, ...examples);
  show();
  return make("div", { class: "tour-address" }, label, box, row, shown);
}

function isAddress(text) {
  try {
    return addressBytes(text) !== null;
  } catch {
    return false;
  }
}

function picture(text, texts) {
  try {
    return drawn(addressBytes(text), texts);
  } catch (error) {
    if (!(error instanceof AddressError)) throw error;
    const words = fill(texts.errors[error.kind], { value: error.value });
    return [make("p", { class: "tour-wrong" }, ...nodesOf(words))];
  }
}

function drawn({ family, port, address }, texts) {
  const count = fill(texts.count, { count: address.length });
  const groups = [group(`${texts.family[family]} · ${count}`, address, "of-address")];
  if (port === null) return groups;
  const [high, low] = port;
  const number = high * 256 + low;
  const sum = `${number} = ${high} × 256 + ${low}`;
  groups.unshift(group(fill(texts.port, { port: sum }), port, "of-port"));
  if (high !== low) {
    const words = fill(texts.swapped, { port: number, swapped: low * 256 + high });
    groups.push(make("p", { class: "note" }, ...nodesOf(words)));
  }
  return groups;
}

function group(name, bytes, kind) {
  const isFaint = bytes.filter((byte) => byte === 0).length >= ZEROS_MIN;
  const cells = bytes.flatMap((byte) => {
    const digits = byte.toString(16).padStart(2, "0");
    return [make("code", { class: isFaint && byte === 0 ? "is-zero" : "" }, digits), " "];
  });
  return make("p", { class: "tour-group" }, make("span", { class: "tour-group-name" }, name),
    make("span", { class: `tour-cells ${kind}` }, ...cells));
}
