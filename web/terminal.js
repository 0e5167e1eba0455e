// terminal.js: the lines to paste into a terminal, with the addresses that the server really
// listens on. It asks for nothing and runs nothing.

import { copyButton } from "./copy.js";
import { make } from "./elements.js";
import { say, sayNodes } from "./words/say.js";

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
      title: say("terminal.push"),
      lines: known([
        nc && line(say("terminal.byhand"), `${nc}\nSUB ${topic}`),
        nc && line(say("terminal.online"), `echo 'SUB ${topic}' | ${nc}`),
        unix && line(say("terminal.unix"), `echo 'SUB ${topic}' | nc -U ${quoted(unix)}`),
        udp && line(say("terminal.udp"),
          [`nc -u ${udp.bare} ${udp.port}`, `SUB ${topic} since=none`,
            `SUB ${topic} since=none cookie=…`].join("\n")),
        line(say("terminal.sse"), `curl -sN '${url}/sse'`),
        line(say("terminal.client"), `doorbell subscribe ${topic} ${server}`),
      ]),
    },
    {
      title: say("terminal.poll"),
      lines: [
        line(say("terminal.held"), `curl -s '${url}/json?poll=1&since=all'`),
        line(say("terminal.wait"), `curl -s '${url}/json?poll=1&since=none&wait=30s'`),
      ],
    },
    {
      title: say("terminal.publish"),
      lines: known([
        line(say("terminal.http"), `curl -d 'hello' '${url}'`),
        nc && line(say("terminal.tcp"), `printf 'PUB ${topic} hello\\nQUIT\\n' | ${nc}`),
        line(say("terminal.publisher"), `doorbell publish ${topic} hello ${server}`),
      ]),
    },
  ];
}

/**
 * Puts the groups on the page, each line with a button that copies it.
 * @param {HTMLElement} place
 * @param {ReturnType<typeof terminalLines>} groups
 * @param {(text: string) => void} announce
 */
export function showTerminalLines(place, groups, announce) {
  place.replaceChildren(...groups.map((group) => showGroup(group, announce)));
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
  const lines = { connect: `nc ${tcp.bare} ${tcp.port}`, subscribe: `SUB ${topic}` };
  place.replaceChildren(...sayNodes("terminal.invitation", lines));
}

function showGroup(group, announce) {
  const section = document.createElement("section");
  const title = document.createElement("h3");
  title.textContent = group.title;
  const list = document.createElement("ul");
  list.append(...group.lines.map((one) => showLine(one, announce)));
  section.append(title, list);
  return section;
}

function showLine({ what, command }, announce) {
  const label = make("span", { class: "line-what" }, what);
  const code = make("code", {}, command);
  return make("li", {}, label, code, copyButton(command, code, what, announce));
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
