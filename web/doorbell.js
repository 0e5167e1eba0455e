// doorbell.js: a client for other pages and programs, as one module without a dependency. It is no
// part of our own pages, whose lanes show what goes over the wire; it runs wherever there is fetch.
//
//     import { Doorbell } from "http://127.0.0.1:8080/static/doorbell.js";
//     const bell = new Doorbell("http://127.0.0.1:8080");
//     await bell.publish("demo", "somebody is here", { title: "Door" });
//     for await (const event of bell.subscribe("demo")) console.log(event.message);
//
// A page of another origin may use a server without an access file only where --allow-origin says
// so.

/**
 * Milliseconds without a sign of life after which a connection counts as dead. The server gives one
 * every 40 s unless its `open` says otherwise.
 */
const SILENCE_MS = 120_000;
/** Signs of life that may be missed of a server that gives them seldom. */
const KEEPALIVES_MISSED = 3;
const PAUSE_MIN_MS = 100;
const PAUSE_MAX_MS = 10_000;
/** Characters of the longest event. */
const LINE_CHARS_MAX = 8 << 20;

/** What a server has refused: the number of the protocol, the HTTP status, and its sentence. */
export class Refused extends Error {
  /**
   * @param {number} status
   * @param {string} body
   * @param {number} [retryAfter] seconds
   */
  constructor(status, body, retryAfter = 0) {
    let told = {};
    try {
      told = JSON.parse(body) ?? {};
    } catch {
      // It is not the server's own word.
    }
    super(told.error ?? `HTTP status ${status}`);
    this.name = "Refused";
    this.code = told.code ?? status;
    this.status = status;
    this.retryAfter = retryAfter;
  }

  /** @returns {boolean} whether the same may be taken later */
  get isTransient() {
    return this.status === 408 || this.status === 429 || this.status >= 500;
  }
}

/** A server. */
export class Doorbell {
  #server;
  #token;

  /**
   * @param {string|URL} server its address, with a path if a proxy has one
   * @param {{token?: string}} [options]
   */
  constructor(server, { token } = {}) {
    this.#server = String(server).replace(/\/+$/, "");
    this.#token = token;
  }

  /**
   * Publishes a message. It is stored once this is fulfilled.
   * @param {string} topic
   * @param {string} message
   * @param {object} [parameters] those of the protocol: title, priority, tags, click, actions, …
   * @returns {Promise<object>} the event, with its id
   */
  async publish(topic, message, parameters = {}) {
    const body = JSON.stringify({ ...parameters, topic, message });
    const answer = await this.#fetch("/", { method: "POST", body });
    return answer.json();
  }

  /**
   * The events that are published, for as long as they are asked for. It comes back by itself,
   * resumes where it was, and throws only what trying again would not change.
   * @param {string} filter a topic, a comma list or a pattern
   * @param {object} [options]
   * @param {string} [options.since] an id, `10m`, `all`, `none` or `latest`
   * @param {AbortSignal} [options.signal] ends it
   * @param {(gap: object) => void} [options.onGap] hears what was lost
   * @param {(isConnected: boolean, reason?: Error) => void} [options.onState]
   * @returns {AsyncGenerator<object>}
   */
  async *subscribe(filter, { since = "none", signal, onGap, onState } = {}) {
    let pause = PAUSE_MIN_MS;
    while (!signal?.aborted) {
      let wait = 0;
      try {
        const path = `/${encodeURIComponent(filter)}/json?since=${encodeURIComponent(since)}`;
        for await (const event of this.#events(path, signal)) {
          if (event.event === "open") onState?.(true);
          if (event.gap) onGap?.(event.gap);
          // Signs of life have a place, too.
          since = event.id ?? since;
          pause = PAUSE_MIN_MS;
          if (event.event !== "open" && event.event !== "keepalive") yield event;
        }
        onState?.(false);
      } catch (error) {
        if (signal?.aborted) return;
        if (error instanceof Refused && !error.isTransient) throw error;
        wait = 1000 * (error.retryAfter ?? 0);
        onState?.(false, error);
      }
      await sleep(Math.max(wait, Math.random() * pause), signal);
      pause = Math.min(2 * pause, PAUSE_MAX_MS);
    }
  }

  /** The events of one connection, until it ends. */
  async *#events(path, outer) {
    const silence = new Silence(outer);
    try {
      const answer = await this.#fetch(path, { signal: silence.signal });
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = "";
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return;
        silence.broken();
        const lines = (rest + value).split("\n");
        rest = lines.pop();
        if (rest.length > LINE_CHARS_MAX) throw new Error("an event is too long");
        for (const line of lines) {
          if (line === "") continue;
          const event = JSON.parse(line);
          if (event.keepalive) silence.isLonger(event.keepalive);
          yield event;
        }
      }
    } finally {
      silence.end();
    }
  }

  async #fetch(path, options) {
    const headers = this.#token ? { Authorization: `Bearer ${this.#token}` } : {};
    const answer = await fetch(`${this.#server}${path}`, { ...options, headers, cache: "no-store" });
    if (answer.ok) return answer;
    const retryAfter = Number(answer.headers.get("Retry-After")) || 0;
    throw new Refused(answer.status, await answer.text(), Math.min(retryAfter, 60));
  }
}

/** Ends a connection on which nothing is heard, or that nobody wants any more. */
class Silence {
  #controller = new AbortController();
  #milliseconds = SILENCE_MS;
  #timer;
  #outer;
  #end = () => this.#controller.abort();

  constructor(outer) {
    this.#outer = outer;
    outer?.addEventListener("abort", this.#end, { once: true });
    this.broken();
  }

  get signal() {
    return this.#controller.signal;
  }

  broken() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(this.#end, this.#milliseconds);
  }

  isLonger(keepaliveSeconds) {
    this.#milliseconds = Math.max(SILENCE_MS, 1000 * keepaliveSeconds * KEEPALIVES_MISSED);
    this.broken();
  }

  end() {
    clearTimeout(this.#timer);
    this.#outer?.removeEventListener("abort", this.#end);
    this.#controller.abort();
  }
}

/** Waits, but no longer than until a signal. */
function sleep(milliseconds, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(done, milliseconds);
    function done() {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      resolve();
    }
    signal?.addEventListener("abort", done, { once: true });
    if (signal?.aborted) done();
  });
}
