// app/actions.js: the buttons of a message, and what each of them does. They come from strangers:
// an address is opened in a page of its own, a call goes to this server alone and without the
// token, and what a browser cannot do is told.

import { make } from "../elements.js";
import { copy, note } from "./asking.js";
import { say } from "./language.js";
import { isOwn, link, webAddress } from "./links.js";

/** As many as the server takes. */
const ACTIONS_SHOWN = 3;

/** A call that is not answered by then has failed. */
const CALL_LIMIT_MS = 15_000;

/**
 * The buttons of a message.
 * @param {object} event
 * @param {() => void} done called when one was used that says so
 * @returns {HTMLElement[]} one element, or none
 */
export function actionsOf(event, done) {
  const actions = Array.isArray(event.actions) ? event.actions.slice(0, ACTIONS_SHOWN) : [];
  if (actions.length === 0) return [];
  return [make("p", { class: "m-actions" }, ...actions.map((action) => buttonOf(action, done)))];
}

function buttonOf(action, done) {
  const label = String(action.label ?? "").slice(0, 80);
  const used = () => action.clear === true && done();
  const address = webAddress(action.url);
  if (action.action === "view" && address) {
    const made = link(address, label);
    made.className = "action";
    made.title = address;
    made.addEventListener("click", used);
    return made;
  }
  const button = make("button", { type: "button", class: "action" }, label);
  if (action.action === "http" && address) button.title = `${methodOf(action)} ${address}`;
  button.addEventListener("click", async () => {
    if (await act(action, label, address)) used();
  });
  return button;
}

/** Does it, and says how it went. Returns whether it was done. */
async function act(action, label, address) {
  if (action.action === "copy") {
    await copy(String(action.value ?? ""));
    return true;
  }
  if (action.action === "broadcast") {
    note(say("action_broadcast", { label }));
    return false;
  }
  if (action.action !== "http" || !/^https?:/.test(address ?? "")) {
    note(say("action_unusable", { label }));
    return false;
  }
  if (!isOwn(address)) {
    await copy(asCommand(action, address), say("action_elsewhere"));
    return false;
  }
  return call(action, label, address);
}

async function call(action, label, address) {
  try {
    const answer = await fetch(address, {
      method: methodOf(action),
      headers: action.headers ?? {},
      body: ["GET", "HEAD"].includes(methodOf(action)) ? undefined : action.body,
      credentials: "omit",
      referrerPolicy: "no-referrer",
      signal: AbortSignal.timeout(CALL_LIMIT_MS),
    });
    note(say("action_done", { label, status: answer.status }));
    return answer.ok;
  } catch (error) {
    note(say("action_failed", { label, why: error.message }));
    return false;
  }
}

function methodOf(action) {
  return String(action.method ?? "POST").toUpperCase();
}

/** The call as somebody would type it. */
function asCommand(action, address) {
  const headers = Object.entries(action.headers ?? {})
    .map(([name, value]) => `-H ${quoted(`${name}: ${value}`)}`);
  const body = action.body ? [`-d ${quoted(action.body)}`] : [];
  return ["curl", `-X ${quoted(methodOf(action))}`, ...headers, ...body, quoted(address)].join(" ");
}

function quoted(text) {
  return `'${String(text).replaceAll("'", "'\\''")}'`;
}
