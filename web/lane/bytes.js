// lane/bytes.js: estimates of the bytes that each lane moves, both directions. A browser shows a
// page neither its own request headers nor anything of TCP and IP, so what cannot be seen is
// rebuilt here from what is known of it. These are estimates, and the page says so; it measures no
// packet.

import { subprotocols } from "../token.js";

const encoder = new TextEncoder();

/** Every line of an HTTP/1.1 head ends in CR LF; name and value are parted by ": ". */
const LINE_END = 2;
const COLON = 2;

/** IPv4 and TCP headers with timestamps, and the payload that fits beside them on Ethernet. */
const PACKET_HEADERS = 52;
const PACKET_PAYLOAD = 1448;

/** Packets that open a TCP connection. */
const HANDSHAKE_PACKETS = 3;

/** Browsers report transferSize as the body and this flat allowance for the headers. */
const FLAT_HEADER_ALLOWANCE = 300;

/**
 * The length of a text in UTF-8.
 * @param {string} text
 * @returns {number}
 */
export function textBytes(text) {
  return encoder.encode(text).length;
}

/**
 * The bytes of one HTTP request: the request line, the headers that the page set, and those that
 * the browser adds by itself.
 * @param {string} method
 * @param {string} path
 * @param {Record<string, string>} [own] headers set by the page
 * @param {number} [body] bytes of the body
 * @returns {number}
 */
export function requestBytes(method, path, own = {}, body = 0) {
  const line = textBytes(`${method} ${path} HTTP/1.1`) + LINE_END;
  const headers = { ...commonHeaders(), ...fetchHeaders(), ...own };
  return line + headBytes(headers) + LINE_END + body;
}

/**
 * The bytes of one HTTP answer. The browser's own figure is used where it is a measured one;
 * where it is only the flat allowance, the visible headers are the better estimate.
 * @param {string} url as it was asked for
 * @param {{status: number, headers: Headers, text: string}} answer
 * @returns {number}
 */
export function answerBytes(url, answer) {
  const entry = lastTiming(url);
  const body = entry && answer.status !== 304 ? entry.encodedBodySize : textBytes(answer.text);
  const measured = entry ? entry.transferSize - entry.encodedBodySize : 0;
  if (measured > 0 && measured !== FLAT_HEADER_ALLOWANCE) return entry.transferSize;
  const statusLine = textBytes(`HTTP/1.1 ${answer.status} OK`) + LINE_END;
  return statusLine + headBytes(Object.fromEntries(answer.headers)) + LINE_END + body;
}

/**
 * The bytes of one WebSocket text frame from the server: the payload and its unmasked header.
 * @param {string} text
 * @returns {number}
 */
export function frameBytes(text) {
  const payload = textBytes(text);
  if (payload < 126) return payload + 2;
  return payload + (payload < 65_536 ? 4 : 10);
}

/**
 * The bytes of one WebSocket text frame to the server, which carries a mask of four bytes too.
 * @param {string} text
 * @returns {number}
 */
export function askingBytes(text) {
  return frameBytes(text) + 4;
}

/**
 * The bytes of opening a WebSocket: an HTTP request with a key, and the answer 101.
 * @param {string} path
 * @returns {{asked: number, answered: number}}
 */
export function connectBytes(path) {
  const asked = {
    ...commonHeaders(),
    Connection: "Upgrade",
    Upgrade: "websocket",
    Origin: location.origin,
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "x".repeat(24),
    "Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits",
  };
  const protocols = subprotocols();
  if (protocols.length > 0) asked["Sec-WebSocket-Protocol"] = protocols.join(", ");
  const answered = {
    connection: "Upgrade",
    upgrade: "websocket",
    "sec-websocket-accept": "x".repeat(28),
    date: new Date().toUTCString(),
  };
  if (protocols.length > 0) answered["sec-websocket-protocol"] = protocols[0];
  const head = (line, headers) => textBytes(line) + LINE_END + headBytes(headers) + LINE_END;
  return {
    asked: head(`GET ${path} HTTP/1.1`, asked),
    answered: head("HTTP/1.1 101 Switching Protocols", answered),
  };
}

/**
 * The bytes of opening a stream of server-sent events: the request and the head of the answer.
 * @param {string} path
 * @returns {{asked: number, answered: number}}
 */
export function sseConnectBytes(path) {
  const headers = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-store",
    "x-accel-buffering": "no",
    "transfer-encoding": "chunked",
    date: new Date().toUTCString(),
  };
  const statusLine = textBytes("HTTP/1.1 200 OK") + LINE_END;
  return {
    asked: requestBytes("GET", path, { Accept: "text/event-stream" }),
    answered: statusLine + headBytes(headers) + LINE_END,
  };
}

/**
 * The bytes of one server-sent event and of the chunk that it travels in.
 * @param {string} data
 * @param {string} id
 * @param {string} name of the event; messages are sent without one
 * @returns {number}
 */
export function sseBytes(data, id, name) {
  const named = name === "message" ? "" : `event: ${name}\n`;
  const text = textBytes(`${named}id: ${id}\ndata: ${data}\n\n`);
  return text + text.toString(16).length + 2 * LINE_END;
}

/**
 * The packet headers of one request and its answer: the answer acknowledges the request, and one
 * more packet acknowledges the answer.
 * @param {number} asked bytes
 * @param {number} answered bytes
 * @param {boolean} opens whether a connection had to be opened for it
 * @returns {number}
 */
export function exchangeOverhead(asked, answered, opens) {
  const opening = opens ? HANDSHAKE_PACKETS : 0;
  return (opening + packets(asked) + packets(answered) + 1) * PACKET_HEADERS;
}

/**
 * The packet headers of one frame, as if it travelled alone, and of its acknowledgement.
 * @param {number} frame bytes
 * @returns {number}
 */
export function frameOverhead(frame) {
  return (packets(frame) + 1) * PACKET_HEADERS;
}

function packets(payload) {
  return Math.max(1, Math.ceil(payload / PACKET_PAYLOAD));
}

function headBytes(headers) {
  let sum = 0;
  for (const [name, value] of Object.entries(headers)) {
    sum += textBytes(name) + COLON + textBytes(value) + LINE_END;
  }
  return sum;
}

/** What a browser sends to its own origin with every request that must not be cached. */
function commonHeaders() {
  return {
    Host: location.host,
    Connection: "keep-alive",
    Pragma: "no-cache",
    "Cache-Control": "no-cache",
    "User-Agent": navigator.userAgent,
    "Accept-Encoding": window.isSecureContext ? "gzip, deflate, br, zstd" : "gzip, deflate",
    "Accept-Language": languages(),
  };
}

/** What it adds to a fetch, but not to the opening of a WebSocket. */
function fetchHeaders() {
  const headers = { Accept: "*/*", ...clientHints() };
  if (!window.isSecureContext) return headers;
  return {
    ...headers,
    "Sec-Fetch-Site": "same-origin",
    "Sec-Fetch-Mode": "cors",
    "Sec-Fetch-Dest": "empty",
  };
}

function languages() {
  const listed = navigator.languages ?? [navigator.language];
  return listed.map((name, at) => (at === 0 ? name : `${name};q=${1 - at / 10}`)).join(",");
}

function clientHints() {
  const hints = navigator.userAgentData;
  if (!hints) return {};
  const brands = hints.brands.map((one) => `"${one.brand}";v="${one.version}"`);
  return {
    "sec-ch-ua": brands.join(", "),
    "sec-ch-ua-mobile": "?0",
    "sec-ch-ua-platform": `"${hints.platform}"`,
  };
}

/** The newest timing entry of this address. The buffer is emptied, for it holds only 250. */
function lastTiming(url) {
  const entries = performance.getEntriesByName(new URL(url, location.href).href, "resource");
  performance.clearResourceTimings();
  return entries.at(-1) ?? null;
}
