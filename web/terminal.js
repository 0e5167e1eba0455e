// terminal.js: the lines to paste into a terminal, with the addresses that the server really
// listens on. It asks for nothing and runs nothing.

import { make } from "./elements.js";

const LOOPBACK = /^(127\.|::1$|localhost$)/;

/**
 * The lines, in groups.
 * @param {string} topic
 * @param {{tcp?: string, unix?: string, udp?: string}} listen
 * @param {Location|URL} page where this page was loaded from
 * @returns {{title: string, lines: {what: string, command: string}[]}[]}
 */
export function terminalLines(topic, listen, page) {
  const tcp = splitAddress(listen.tcp, page);
  const udp = splitAddress(listen.udp, page);
  const unix = typeof listen.unix === "string" ? listen.unix : null;
  const url = String(new URL(topic, page));
  const root = String(new URL(".", page)).slice(0, -1);
  const nc = tcp ? `nc ${tcp.bare} ${tcp.port}` : null;
  const server = tcp ? `--server tcp://${tcp.host}:${tcp.port}` : `--server ${root}`;
  return [
    {
      title: "Be rung (push)",
      lines: known([
        nc && line("by hand: connect, then type the second line", `${nc}\nSUB ${topic}`),
        nc && line("the same in one line", `echo 'SUB ${topic}' | ${nc}`),
        unix && line("over the Unix socket", `echo 'SUB ${topic}' | nc -U ${quoted(unix)}`),
        udp && line("over UDP: type the second line, then the third with the cookie it was given",
          [`nc -u ${udp.bare} ${udp.port}`, `SUB ${topic} since=none`,
            `SUB ${topic} since=none cookie=…`].join("\n")),
        line("server-sent events", `curl -sN '${url}/sse'`),
        line("the doorbell client, which reconnects", `doorbell subscribe ${topic} ${server}`),
      ]),
    },
    {
      title: "Go and look (polling)",
      lines: [
        line("everything that is held", `curl -s '${url}/json?poll=1&since=all'`),
        line("a look that waits for news", `curl -s '${url}/json?poll=1&since=none&wait=30s'`),
      ],
    },
    {
      title: "Press the button (publish)",
      lines: known([
        line("over HTTP", `curl -d 'hello' '${url}'`),
        nc && line("over TCP", `printf 'PUB ${topic} hello\\nQUIT\\n' | ${nc}`),
        line("the doorbell client", `doorbell publish ${topic} hello ${server}`),
      ]),
    },
  ];
}

/**
 * Puts the groups on the page, each line with a button that copies it.
 * @param {HTMLElement} place
 * @param {ReturnType<typeof terminalLines>} groups
 * @param {(text: string) => void} say
 */
export function showTerminalLines(place, groups, say) {
  place.replaceChildren(...groups.map((group) => showGroup(group, say)));
}

/**
 * The sentence that invites to watch an own connection.
 * @param {HTMLElement} place
 * @param {string} topic
 * @param {{tcp?: string}} listen
 * @param {Location|URL} page
 */
export function showInvitation(place, topic, listen, page) {
  const tcp = splitAddress(listen.tcp, page);
  if (!tcp) return;
  place.replaceChildren("Open a terminal, type ", make("code", {}, `nc ${tcp.bare} ${tcp.port}`),
    ", and you have a row here before you have said a word. Then type ",
    make("code", {}, `SUB ${topic}`), " and watch it.");
}

function showGroup(group, say) {
  const section = document.createElement("section");
  const title = document.createElement("h3");
  title.textContent = group.title;
  const list = document.createElement("ul");
  list.append(...group.lines.map((one) => showLine(one, say)));
  section.append(title, list);
  return section;
}

function showLine({ what, command }, say) {
  const item = document.createElement("li");
  const label = document.createElement("span");
  label.className = "line-what";
  label.textContent = what;
  const code = document.createElement("code");
  code.textContent = command;
  const button = document.createElement("button");
  button.type = "button";
  button.className = "quiet";
  button.textContent = "Copy";
  button.setAttribute("aria-label", `Copy: ${what}`);
  button.addEventListener("click", async () => {
    const copied = await copy(command, code);
    button.textContent = copied ? "Copied" : "Selected";
    say(copied ? "Copied" : "Selected; press Control and C to copy");
    setTimeout(() => (button.textContent = "Copy"), 2000);
  });
  item.append(label, code, button);
  return item;
}

/** Copies a text. Without the clipboard, as on plain HTTP, the line is selected instead. */
async function copy(text, code) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    getSelection()?.selectAllChildren(code);
    return document.execCommand?.("copy") ?? false;
  }
}

/**
 * An address of the server as seen from here: a wildcard becomes the name of this page's host.
 * @param {string|undefined} address
 * @param {Location|URL} page
 * @returns {{bare: string, port: string, host: string}|null} host as a URL writes it
 */
export function splitAddress(address, page) {
  const parts = /^\[?(.*?)\]?:(\d+)$/.exec(address ?? "");
  if (!parts) return null;
  const [, name, port] = parts;
  const bare = ["", "0.0.0.0", "::", "*"].includes(name) ? trim(page.hostname) : name;
  return { bare, port, host: bare.includes(":") ? `[${bare}]` : bare };
}

/**
 * Whether the raw port can be reached only on the server's own machine, while this page was
 * loaded from another one.
 * @param {{tcp?: string}} listen
 * @param {Location|URL} page
 * @returns {boolean}
 */
export function isOutOfReach(listen, page) {
  const tcp = splitAddress(listen.tcp, page);
  return tcp !== null && LOOPBACK.test(tcp.bare) && !LOOPBACK.test(trim(page.hostname));
}

function trim(host) {
  return host.replace(/^\[|\]$/g, "");
}

function line(what, command) {
  return { what, command };
}

function known(lines) {
  return lines.filter(Boolean);
}

function quoted(path) {
  return `'${path.replaceAll("'", `'\\''`)}'`;
}
