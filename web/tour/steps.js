// tour/steps.js: the plan of the tour, the same in every language: its steps in order, the figure
// and the tasks of each, the part of the page it speaks of, and the lines to paste into a terminal.

import { splitAddress } from "../terminal.js";

/**
 * @typedef {object} Ground where the tour takes place
 * @property {string} topic
 * @property {string} page token of this page for the server's lab
 * @property {Location|URL} location
 * @property {{tcp?: string, udp?: string, unix?: string}} listen
 *
 * @typedef {object} Task
 * @property {string} key
 * @property {boolean} [needsLab] whether only the server's lab can see that it was done
 * @property {"tcp"|"udp"} [door] the listener it needs
 * @property {(ground: Ground, nc: string) => string[]} [lines] for a terminal, one block each
 *
 * @typedef {object} Step
 * @property {string} key
 * @property {string} figure of figures.js
 * @property {string[]} places ids of the part of the page; the first one that is there counts
 * @property {Task[]} tasks
 */

/** How long half a line hesitates in the line to paste, in seconds. */
const HESITATION_S = 10;

/** What the two halves are once the newline has come. */
export const HALVES = ["half", " a line"];

/** How many looks each of the two lines takes. */
export const LOOKS = 5;

/** @type {Step[]} */
export const STEPS = [
  {
    key: "socket",
    figure: "order",
    places: ["connections", "terminal-lines"],
    tasks: [{ key: "bytes" }],
  },
  {
    key: "first",
    figure: "first",
    places: ["publish-form", "figure"],
    tasks: [
      { key: "ring" },
      { key: "connect", needsLab: true, door: "tcp", lines: (_, nc) => [nc] },
    ],
  },
  {
    key: "line",
    figure: "line",
    places: ["connections", "figure"],
    tasks: [{ key: "half", needsLab: true, door: "tcp", lines: halfLine }],
  },
  {
    key: "cost",
    figure: "cost",
    places: ["trace"],
    tasks: [{ key: "looks", needsLab: true, lines: looks }, { key: "cut", needsLab: true }],
  },
  {
    key: "datagrams",
    figure: "chain",
    places: ["figure"],
    tasks: [{ key: "datagram", needsLab: true, door: "udp", lines: datagram }],
  },
  {
    key: "choose",
    figure: "choose",
    places: ["interval", "figure"],
    tasks: [{ key: "tune" }],
  },
];

/**
 * The lines of a task to paste into a terminal, with the addresses of this server.
 * @param {Task} task
 * @param {Ground} ground
 * @returns {string[]|null} null if the server has no listener for it
 */
export function linesOf(task, ground) {
  if (!task.lines) return [];
  const door = task.door ? splitAddress(ground.listen[task.door], ground.location) : null;
  if (task.door && !door) return null;
  const nc = door && `nc ${task.door === "udp" ? "-u " : ""}${door.bare} ${door.port}`;
  return task.lines(ground, nc);
}

function halfLine({ topic }, nc) {
  const [one, other] = HALVES;
  const first = `printf 'PUB ${topic} ${one}'`;
  return [`(${first}; sleep ${HESITATION_S}; printf '${other}\\nQUIT\\n') | ${nc}`];
}

/** The same looks twice: each on a connection of its own, then all on one. */
function looks({ topic, page, location }) {
  const url = `${new URL(topic, location)}/json?poll=1&since=none&lane=${page}`;
  const numbers = Array.from({ length: LOOKS }, (_, index) => index + 1);
  return [
    `for n in ${numbers.join(" ")}; do curl -s '${url}.apart'; done`,
    `curl -s '${url}.kept&n=[1-${LOOKS}]'`,
  ];
}

function datagram({ topic }, nc) {
  return [`${nc}\nSUB ${topic} since=none`];
}
