// simulation/server.js: a server inside the page, for the copy of the first view that is one file
// and needs none. It takes the place of `fetch` and `WebSocket`, keeps a log, and answers over a
// line of some milliseconds, so that the page's own modules run on it as they are. It imports
// nothing and comes first. `doorbell-server page` puts it into that file; no other page has it.

/** How long something is on the simulated line, one way, in milliseconds: at least, and at most. */
const ONE_WAY_MS = [8, 12];

const KEEPALIVE_SECONDS = 40;
const FAMILIES = {
  poll: "poll", longpoll: "longpoll", sse: "push", ws: "push", tcp: "push", udp: "push",
};
const CONFIG = {
  keepalive_seconds: KEEPALIVE_SECONDS, lab: false, enable_login: false, listen: {},
  transports: Object.entries(FAMILIES).map(([name, family]) => ({ name, family })),
};

/** Messages that are kept: far more than the picture shows. */
const KEPT = 1000;

const log = [];
const sockets = new Set();
let last = 0;

const id = (seq) => seq.toString(36).padStart(12, "0");

/** When something that is sent now is there. */
function underway() {
  const [least, most] = ONE_WAY_MS;
  return new Promise((there) => setTimeout(there, least + Math.random() * (most - least)));
}

function publish(topic, message) {
  last += 1;
  const now = Date.now();
  const event = {
    id: id(last), seq: last, time: Math.floor(now / 1000), time_us: now * 1000, event: "message",
    topic, message: message || "triggered",
  };
  log.push(event);
  if (log.length > KEPT) log.shift();
  for (const socket of sockets) socket.news(event);
  return event;
}

/** What is behind a place; nothing is behind the end. */
function behind(topic, since) {
  return since === "none" ? [] : log.filter((one) => one.topic === topic && one.id > since);
}

function poll(topic, since, known) {
  const newest = log.findLast((one) => one.topic === topic)?.id ?? id(0);
  const headers = { "Doorbell-Next": id(last), ETag: `"${newest}"` };
  if (known === headers.ETag) return new Response(null, { status: 304, headers });
  const lines = behind(topic, since).map((one) => `${JSON.stringify(one)}\n`);
  return new Response(lines.join(""), { headers });
}

function answer(address, { method = "GET", headers, body }) {
  const [topic, what] = address.pathname.split("/").slice(ROOT_PARTS);
  if (topic === "v1" && what === "config") return Response.json(CONFIG);
  if (method === "POST" && !what) return Response.json(publish(topic, body));
  if (what === "json") {
    const known = new Headers(headers).get("If-None-Match");
    return poll(topic, address.searchParams.get("since"), known);
  }
  return Response.json({ error: "the simulation has no such answer" }, { status: 404 });
}

/** Parts of an address before a topic: the folder of this file. */
const ROOT_PARTS = location.pathname.split("/").length - 1;

globalThis.fetch = async (path, options = {}) => {
  const address = new URL(path, location.href);
  await underway();
  options.signal?.throwIfAborted();
  const answered = answer(address, options);
  await underway();
  options.signal?.throwIfAborted();
  return answered;
};

/** What the page uses of a WebSocket. What is sent on it arrives in order. */
globalThis.WebSocket = class {
  #topic;
  #arrived = underway();

  constructor(path) {
    const address = new URL(path.replace(/^ws:\/\/[^/]*/, ""), location.href);
    this.#topic = address.pathname.split("/")[ROOT_PARTS];
    this.#deliver(() => {
      const missed = behind(this.#topic, address.searchParams.get("since"));
      sockets.add(this);
      this.#deliver(() => this.onopen?.());
      this.#say({ id: missed[0]?.id ?? id(last), event: "open", topic: this.#topic });
      for (const event of missed) this.#say(event);
    });
  }

  news(event) {
    if (event.topic === this.#topic) this.#say(event);
  }

  send() {
    this.#say({ event: "pong" });
  }

  close() {
    sockets.delete(this);
  }

  #say(event) {
    this.#deliver(() => this.onmessage?.({ data: JSON.stringify(event) }));
  }

  #deliver(act) {
    this.#arrived = Promise.all([this.#arrived, underway()]).then(act);
  }
};

// A file has one address, which cannot be changed.
history.replaceState = () => {};
