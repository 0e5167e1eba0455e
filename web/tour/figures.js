// tour/figures.js: the small drawings of the tour, one a step. Each is plain SVG whose colours
// tour.css gives by class; words come from the language in {places}. They are pictures of ideas,
// not of measurements.

import { networkOrder } from "./address.js";
import { fill } from "../words/say.js";

const HEAD = 'xmlns="http://www.w3.org/2000/svg" role="img"';

/** An arrow: shaft and head, from one point to another on a slope. */
function arrow(kind, fromX, fromY, toX, toY) {
  const back = toX > fromX ? -7 : 7;
  const rise = ((toY - fromY) / Math.abs(toX - fromX)) * 7;
  const shaft = `M${fromX} ${fromY}L${toX + back} ${toY - rise}`;
  return `<g class="${kind}"><path class="shaft" d="${shaft}"/>` +
    `<path class="head" d="M${toX} ${toY}l${back} ${-rise - 4}v8z"/></g>`;
}

function text(kind, x, y, words) {
  return `<text class="${kind}" x="${x}" y="${y}">${words}</text>`;
}

function box(kind, x, y, width, height) {
  return `<rect class="${kind}" x="${x}" y="${y}" width="${width}" height="${height}" rx="4"/>`;
}

/** A port splits into its two bytes, the high one in front. */
function order({ port }) {
  const { high, low } = networkOrder(port);
  return `<svg ${HEAD} viewBox="0 0 360 112">
    ${box("plain", 8, 12, 76, 36)}${text("mono strong middle", 46, 35, String(port))}
    ${text("mono small middle muted", 46, 64, `${port >> 8} × 256`)}
    ${text("mono small middle muted", 46, 78, `+ ${port & 0xff}`)}
    ${arrow("ink", 92, 30, 132, 30)}
    ${box("push", 140, 12, 48, 36)}${text("mono strong middle on", 164, 35, high)}
    ${box("poll", 194, 12, 48, 36)}${text("mono strong middle on", 218, 35, low)}
    ${arrow("wire", 166, 92, 352, 92)}
    ${box("poll", 208, 78, 40, 28)}${text("mono middle on", 228, 97, low)}
    ${box("push", 262, 78, 40, 28)}${text("mono middle on", 282, 97, high)}
    ${text("small middle", 282, 68, "{first}")}
  </svg>`;
}

/** Two pairs of lifelines: asked and answered; open, and either may speak. */
function first() {
  const pair = (left, name) => `
    ${text("strong small middle", left + 70, 14, name)}
    ${text("small middle muted", left + 14, 32, "{client}")}
    ${text("small middle muted", left + 126, 32, "{server}")}
    <path class="life" d="M${left + 14} 40v116M${left + 126} 40v116"/>`;
  return `<svg ${HEAD} viewBox="0 0 360 162">
    ${pair(10, "HTTP")}
    ${arrow("poll", 26, 52, 134, 60)}${text("small middle", 80, 50, "{ask}")}
    ${arrow("poll", 134, 76, 26, 84)}${text("small middle", 80, 74, "{nothing}")}
    ${arrow("poll", 26, 104, 134, 112)}${text("small middle", 80, 102, "{ask}")}
    ${arrow("poll", 134, 128, 26, 136)}${text("small middle", 80, 126, "{news}")}
    <path class="divide" d="M180 8v148"/>
    ${pair(210, "socket")}
    ${arrow("push", 334, 52, 226, 60)}${text("small middle", 280, 50, "{hello}")}
    ${arrow("push", 334, 90, 226, 98)}${text("small middle", 280, 88, "{news}")}
    ${arrow("push", 334, 128, 226, 136)}${text("small middle", 280, 126, "{news}")}
  </svg>`;
}

/** A stream of bytes: segments cut it anywhere, newlines cut it into lines. */
function line(words) {
  const bytes = [..."PUB·t·hi", "\\n", ..."PUB·t·yo", "\\n"];
  const cells = bytes.map((byte, at) => {
    const x = 9 + at * 19;
    const kind = byte === "\\n" ? "push" : "plain";
    const on = byte === "\\n" ? "on strong" : "";
    return box(kind, x, 44, 18, 26) + text(`mono small middle ${on}`, x + 9, 61, byte);
  });
  const span = (from, to, y, words, kind) => {
    const left = 10 + from * 19;
    const right = 8 + to * 19;
    const tip = y < 44 ? 6 : -6;
    return `<path class="${kind}" d="M${left} ${y + tip}v${-tip}H${right}v${tip}"/>` +
      text("small middle muted", (left + right) / 2, y < 44 ? y - 7 : y + 16, words);
  };
  const name = (key, n) => fill(words[key], { n });
  return `<svg ${HEAD} viewBox="0 0 360 112">
    ${cells.join("")}
    ${span(0, 5, 30, name("segment", 1), "brace")}
    ${span(5, 13, 30, name("segment", 2), "brace")}
    ${span(13, 18, 30, name("segment", 3), "brace")}
    ${span(0, 9, 84, name("line", 1), "brace of-push")}
    ${span(9, 18, 84, name("line", 2), "brace of-push")}
  </svg>`;
}

/** Handshake and goodbye as arrows, with what was wanted in between. */
function cost() {
  const left = 118;
  const right = 342;
  const step = (y, fromClient, words) => {
    const [from, to] = fromClient ? [left, right] : [right, left];
    return arrow("wire", from, y, to, y + 7) + text("mono small middle", 230, y - 3, words);
  };
  const band = (y, height, name, kind) =>
    `${box(kind, 8, y, 4, height)}${text("small", 20, y + height / 2 + 4, name)}`;
  return `<svg ${HEAD} viewBox="0 0 360 226">
    ${text("small middle muted", left, 14, "{client}")}
    ${text("small middle muted", right - 8, 14, "{server}")}
    <path class="life" d="M${left} 22v196M${right} 22v196"/>
    ${band(26, 60, "{open}", "wirebox")}
    ${step(36, true, "SYN")}${step(57, false, "SYN ACK")}${step(78, true, "ACK")}
    ${box("push", left + 1, 98, right - left - 2, 26)}
    ${text("small middle on", 230, 115, "{yours}")}
    ${band(136, 80, "{end}", "wirebox")}
    ${step(146, true, "FIN")}${step(167, false, "ACK")}
    ${step(188, false, "FIN")}${step(209, true, "ACK")}
  </svg>`;
}

/** A chain of ids in which one link is missing. */
function chain() {
  const link = (x, id, kind, on) =>
    `${box(kind, x, 30, 56, 36)}${text(`mono strong middle ${on}`, x + 28, 53, id)}`;
  return `<svg ${HEAD} viewBox="0 0 360 108">
    ${link(8, "41", "push", "on")}${link(104, "42", "push", "on")}
    ${link(200, "43", "missing", "bad")}${link(296, "44", "push", "on")}
    ${arrow("ink", 104, 48, 66, 48)}${arrow("bad", 296, 48, 258, 48)}
    <path class="gone" d="M200 48H164"/>
    ${text("small middle bad", 228, 86, "{lost}")}
    ${text("mono small middle muted", 85, 22, "prev 41")}
    ${text("mono small middle muted", 277, 22, "prev 43")}
  </svg>`;
}

/** Bytes of a message against the rate of messages: 656/(5λ) and 105, of the arithmetic that the
 * page's small print explains; the rate's axis is logarithmic. */
function choose() {
  const curve = "M92 17.6L102.1 31.4L112.3 43.4L122.5 53.9L132.6 63.1L142.8 71.1L153 78.1" +
    "L163.1 84.2L173.3 89.5L183.5 94.2L193.6 98.2L203.8 101.8L214 104.9L224.2 107.5L234.3 109.9" +
    "L244.5 111.9L254.7 113.7L264.8 115.3L275 116.7L285.2 117.9L295.3 118.9L305.5 119.8" +
    "L315.7 120.6L336 121.9";
  return `<svg ${HEAD} viewBox="0 0 360 172">
    <path class="life" d="M44 12V126H344"/>
    <path class="curve of-poll" d="${curve}"/><path class="curve of-push" d="M44 109.5H336"/>
    <circle class="mark" cx="232.5" cy="109.5" r="5"/>
    ${text("small of-poll-ink", 110, 34, "{polling}")}
    ${text("small of-push-ink", 52, 102, "{push}")}
    ${text("mono small middle muted", 44, 142, "0.1")}
    ${text("mono small middle muted", 216, 142, "1")}
    ${text("mono small middle muted", 336, 142, "5")}
    ${text("small middle muted", 190, 162, "{rate}")}
    ${text("small muted", 50, 10, "{bytes}")}
  </svg>`;
}

const FIGURES = { order, first, line, cost, chain, choose };

/**
 * Draws a figure.
 * @param {keyof typeof FIGURES} name
 * @param {Record<string, string>} words of the language's `drawing`, and the server's `port`
 * @param {string} says the same as the picture, for those who do not see it
 * @returns {SVGElement}
 */
export function figure(name, words, says) {
  const markup = fill(FIGURES[name](words), words);
  const drawing = new DOMParser().parseFromString(markup, "image/svg+xml").documentElement;
  drawing.setAttribute("aria-label", says);
  drawing.setAttribute("class", "tour-drawing");
  return document.importNode(drawing, true);
}
