// app/store.js: the messages that this browser keeps, in IndexedDB, and the place up to which it
// has them. Everything is read once, when the page opens, the newest first, so that they are seen
// while the others are still being read; what changes is written behind. Where the browser keeps
// nothing, there is no store, and the inbox begins with what the server holds.

import { ROOT } from "../net.js";

const DATABASE = `doorbell.inbox${ROOT}`;
const VERSION = 1;
const MESSAGES = "messages";
const BY_TIME = "by time";
const STATE = "state";
const PLACE = "place";

/** A database that does not open by then is done without. */
const OPEN_LIMIT_MS = 2_000;

/** What is kept of one server. */
export class Store {
  #database;

  constructor(database) {
    this.#database = database;
  }

  /**
   * Opens it.
   * @returns {Promise<Store|null>} null where this browser keeps nothing
   */
  static async open() {
    try {
      const asked = indexedDB.open(DATABASE, VERSION);
      asked.onupgradeneeded = () => {
        const messages = asked.result.createObjectStore(MESSAGES, { keyPath: "key" });
        messages.createIndex(BY_TIME, "event.time_us");
        asked.result.createObjectStore(STATE);
      };
      const late = new Promise((resolve) => setTimeout(resolve, OPEN_LIMIT_MS, null));
      const database = await Promise.race([result(asked), late]);
      return database && new Store(database);
    } catch {
      return null;
    }
  }

  /**
   * The newest messages.
   * @param {number} count
   * @returns {Promise<import("./inbox.js").Message[]>}
   */
  async readNewest(count) {
    try {
      const reading = this.#database.transaction(MESSAGES);
      const asked = reading.objectStore(MESSAGES).index(BY_TIME).openCursor(null, "prev");
      const newest = [];
      await new Promise((resolve, reject) => {
        asked.onerror = () => reject(asked.error);
        asked.onsuccess = () => {
          const cursor = asked.result;
          if (cursor) newest.push(cursor.value);
          if (cursor && newest.length < count) cursor.continue();
          else resolve();
        };
      });
      return newest;
    } catch {
      return [];
    }
  }

  /**
   * All that is kept, in one go.
   * @returns {Promise<{messages: import("./inbox.js").Message[], place: string|null}>}
   */
  async readAll() {
    try {
      const reading = this.#database.transaction([MESSAGES, STATE]);
      const [messages, place] = await Promise.all([
        result(reading.objectStore(MESSAGES).getAll()),
        result(reading.objectStore(STATE).get(PLACE)),
      ]);
      return { messages, place: place ?? null };
    } catch {
      return { messages: [], place: null };
    }
  }

  /**
   * Writes what changed: all of it, or none.
   * @param {import("./inbox.js").Message[]} changed
   * @param {string[]} removed keys
   * @param {string|null} place
   * @returns {Promise<boolean>} whether it is kept
   */
  async write(changed, removed, place) {
    try {
      const writing = this.#database.transaction([MESSAGES, STATE], "readwrite");
      const messages = writing.objectStore(MESSAGES);
      for (const message of changed) messages.put(message);
      for (const key of removed) messages.delete(key);
      writing.objectStore(STATE).put(place, PLACE);
      await new Promise((resolve, reject) => {
        writing.oncomplete = resolve;
        writing.onabort = writing.onerror = () => reject(writing.error);
      });
      return true;
    } catch {
      return false;
    }
  }
}

function result(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = request.onblocked = () => reject(request.error);
  });
}
