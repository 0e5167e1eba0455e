// tour/address.js: a socket address as bytes in network order. Pure functions; it resolves no
// names and opens nothing.

/** The longest path of a Unix socket on Linux, without the zero byte that ends it. */
const PATH_BYTES_MAX = 107;
const PORT_MAX = 0xffff;
const GROUPS = 8;

/**
 * What is wrong with an address, for the page to say in its own words.
 * `kind` is one of: empty, name, octet, groups, port, noport, path, zone.
 */
export class AddressError extends Error {
  /**
   * @param {string} kind
   * @param {string} value the part that is wrong
   */
  constructor(kind, value) {
    super(`${kind}: ${value}`);
    this.kind = kind;
    this.value = value;
  }
}

/**
 * Reads `127.0.0.1:1989`, `[::1]:1989` or `/run/doorbell.sock`.
 * @param {string} text
 * @returns {{family: "ipv4"|"ipv6"|"unix", port: number[]|null, address: number[]}} bytes, the
 *   one that goes first on the wire first
 * @throws {AddressError}
 */
export function addressBytes(text) {
  const trimmed = text.trim();
  if (trimmed === "") throw new AddressError("empty", "");
  if (trimmed.includes("/")) return unix(trimmed);
  if (trimmed.startsWith("[")) return bracketed(trimmed);
  if (trimmed.split(":").length > 2) {
    ipv6(trimmed);
    throw new AddressError("noport", trimmed);
  }
  const [host, port] = trimmed.split(":");
  const address = ipv4(host);
  if (port === undefined) throw new AddressError("noport", trimmed);
  return { family: "ipv4", port: portBytes(port), address };
}

function bracketed(text) {
  const parts = /^\[(.*)\](?::(.*))?$/.exec(text);
  if (!parts) throw new AddressError("groups", text);
  const address = ipv6(parts[1]);
  if (parts[2] === undefined) throw new AddressError("noport", text);
  return { family: "ipv6", port: portBytes(parts[2]), address };
}

function unix(path) {
  const address = [...new TextEncoder().encode(path)];
  if (address.length > PATH_BYTES_MAX) throw new AddressError("path", String(address.length));
  return { family: "unix", port: null, address };
}

function portBytes(text) {
  if (!/^\d{1,5}$/.test(text) || Number(text) > PORT_MAX) throw new AddressError("port", text);
  return twoBytes(Number(text));
}

function ipv4(text) {
  const parts = text.split(".");
  if (!/^[\d.]+$/.test(text)) throw new AddressError("name", text);
  for (const part of parts) {
    if (!/^\d{1,3}$/.test(part) || Number(part) > 0xff) throw new AddressError("octet", text);
  }
  if (parts.length !== 4) throw new AddressError("octet", text);
  return parts.map(Number);
}

function ipv6(text) {
  if (text.includes("%")) throw new AddressError("zone", text);
  const halves = text.split("::");
  if (halves.length > 2) throw new AddressError("groups", text);
  const [head, tail] = halves.map((half, at) => groupsOf(half, text, at === halves.length - 1));
  const known = head.length + (tail?.length ?? 0);
  const isFull = tail === undefined ? known === 2 * GROUPS : known <= 2 * (GROUPS - 1);
  if (!isFull) throw new AddressError("groups", text);
  return [...head, ...new Array(2 * GROUPS - known).fill(0), ...(tail ?? [])];
}

/** The bytes of groups between colons; the very last group may be an IPv4 address. */
function groupsOf(half, whole, isEnd) {
  if (half === "") return [];
  const groups = half.split(":");
  return groups.flatMap((group, index) => {
    if (isEnd && index === groups.length - 1 && group.includes(".")) return ipv4(group);
    if (!/^[0-9a-f]{1,4}$/i.test(group)) throw new AddressError("groups", whole);
    return twoBytes(Number.parseInt(group, 16));
  });
}

/**
 * The two bytes of a port, in hexadecimal, in the order in which they travel.
 * @param {number} port
 * @returns {{port: number, high: string, low: string}}
 */
export function networkOrder(port) {
  const [high, low] = twoBytes(port).map((byte) => byte.toString(16).padStart(2, "0"));
  return { port, high, low };
}

function twoBytes(number) {
  return [number >> 8, number & 0xff];
}
