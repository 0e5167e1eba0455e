// app/compose.js: the form that publishes, with all that a message can have. A file is chosen,
// dropped or pasted. What the server says against it is shown in its own words, and nothing that
// was written is lost.

import { find, make, write } from "../elements.js";
import { ROOT, exchange, parseJson, reasonOf } from "../net.js";
import { say } from "./language.js";
import { isTopic } from "./topics.js";
import { when } from "./when.js";

/** A file may take its time. */
const FILE_LIMIT_MS = 10 * 60_000;
const TEXT_LIMIT_MS = 15_000;

/** A message that is due later than that was not published at once. */
const LATER_S = 5;

const USUAL_PRIORITY = 3;

/** What of a pattern is no part of a topic. */
const WILD = /[*>].*$/;

/** The fields that are sent as they are, by the header that carries each. */
const FIELDS = {
  "X-Title": "c-title",
  "X-Tags": "c-tags",
  "X-Click": "c-click",
  "X-Attach": "c-attach",
  "X-Icon": "c-icon",
  "X-Delay": "c-delay",
  "X-Sequence-ID": "c-sequence",
  "X-Actions": "c-actions",
};

/** The form. */
export class Compose {
  #topics;
  #published;
  /** A file that was dropped or pasted; the field holds one that was chosen. */
  #file = null;

  /**
   * @param {import("./topics.js").Topics} topics
   * @param {(event: object, told: string) => void} published
   */
  constructor(topics, published) {
    this.#topics = topics;
    this.#published = published;
    nameLevels();
    find("compose-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send();
    });
    find("c-message").addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.#send();
    });
    find("c-file").addEventListener("change", () => this.attach(find("c-file").files[0] ?? null));
    find("c-file-drop").addEventListener("click", () => this.attach(null));
    this.#hearFiles();
  }

  /**
   * Opens the form.
   * @param {string} topic what it is published to unless somebody writes another one; of a pattern
   *   its beginning; empty for the one of last time
   */
  open(topic) {
    if (find("compose").open) return;
    const known = this.#topics.list.filter(({ filter }) => isTopic(filter));
    if (topic !== "") find("c-topic").value = topic.replace(WILD, "");
    else find("c-topic").value ||= known[0]?.filter ?? "";
    const options = known.map(({ filter }) => make("option", { value: filter }));
    find("c-topics").replaceChildren(...options);
    this.#tell("");
    find("compose").showModal();
    (isTopic(find("c-topic").value) ? find("c-message") : find("c-topic")).focus();
  }

  #hearFiles() {
    const box = find("c-drop");
    const dialog = find("compose");
    dialog.addEventListener("paste", ({ clipboardData }) => {
      if (clipboardData?.files.length > 0) this.attach(clipboardData.files[0]);
    });
    dialog.addEventListener("dragover", (event) => {
      event.preventDefault();
      box.classList.add("is-over");
    });
    dialog.addEventListener("dragleave", () => box.classList.remove("is-over"));
    dialog.addEventListener("drop", (event) => {
      event.preventDefault();
      box.classList.remove("is-over");
      if (event.dataTransfer.files.length > 0) this.attach(event.dataTransfer.files[0]);
    });
  }

  /** @param {File|null} file to be published, or none any more */
  attach(file) {
    this.#file = file;
    if (file === null) find("c-file").value = "";
    else if (find("c-file").files[0] !== file) {
      const carried = new DataTransfer();
      carried.items.add(file);
      find("c-file").files = carried.files;
    }
    write(find("c-file-name"), file?.name ?? say("f_file_how"));
    find("c-file-drop").hidden = file === null;
  }

  async #send() {
    const topic = find("c-topic").value.trim();
    const text = find("c-message").value;
    if (!isTopic(topic)) return this.#tell(say("topic_malformed", { filter: topic }), true);
    const isNothing = text.trim() === "" && this.#file === null && !find("c-attach").value.trim();
    if (isNothing) return this.#tell(say("nothing_to_send"), true);
    find("c-send").disabled = true;
    this.#tell(say("publishing"));
    try {
      const longest = this.#file ? FILE_LIMIT_MS : TEXT_LIMIT_MS;
      const asked = { method: "PUT", headers: this.#headers(text), body: this.#file ?? text };
      const answer = await exchange(`${ROOT}${topic}`, asked, undefined, longest);
      if (answer.status === 200) this.#sent(parseJson(answer.text) ?? {});
      else this.#tell(reasonOf(answer), true);
    } catch (error) {
      this.#tell(error.message, true);
    } finally {
      find("c-send").disabled = false;
    }
  }

  #headers(text) {
    const headers = { "Content-Type": "text/plain; charset=utf-8" };
    const put = (name, value) => {
      if (value.trim() !== "") headers[name] = encoded(value.trim());
    };
    for (const [name, id] of Object.entries(FIELDS)) put(name, find(id).value);
    const priority = find("c-priority").value;
    if (priority !== String(USUAL_PRIORITY)) headers["X-Priority"] = priority;
    if (find("c-markdown").checked) headers["X-Markdown"] = "yes";
    if (find("c-nocache").checked) headers["X-Cache"] = "no";
    const name = find("c-filename").value || this.#file?.name || "";
    if (this.#file || find("c-attach").value.trim()) put("X-Filename", name);
    if (this.#file) {
      put("X-Message", text);
      headers["Content-Type"] = "application/octet-stream";
    }
    return headers;
  }

  #sent(event) {
    const isLater = event.time * 1000 > Date.now() + LATER_S * 1000;
    const told = isLater ? say("published_later", { time: when(event.time) }) : say("published");
    const topic = find("c-topic").value;
    find("compose-form").reset();
    this.attach(null);
    find("c-topic").value = topic;
    find("c-priority").value = String(USUAL_PRIORITY);
    find("compose").close();
    this.#published(event, told);
  }

  #tell(text, isBad = false) {
    write(find("compose-note"), text);
    find("compose-note").classList.toggle("is-bad", isBad);
  }
}

/** Names the levels of priority in the language of the page. */
function nameLevels() {
  const levels = [5, 4, 3, 2, 1].map((level) =>
    make("option", { value: String(level) }, `${level} · ${say(`priority_${level}`)}`));
  find("c-priority").replaceChildren(...levels);
  find("c-priority").value = String(USUAL_PRIORITY);
}

/** A header carries ASCII; everything else is encoded as RFC 2047 has it. */
function encoded(value) {
  if (/^[ -~]*$/.test(value) && !value.includes("=?")) return value;
  const bytes = new TextEncoder().encode(value);
  return `=?UTF-8?B?${btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""))}?=`;
}
