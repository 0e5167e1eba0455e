// app/account.js: the form by which somebody gives this page a token, and what the server says to
// it. There is none where the server asks nobody who he is. The token is kept by token.js.

import { find, write } from "../elements.js";
import { ROOT, exchange, parseJson, reasonOf } from "../net.js";
import { bearer, forgetToken, hasToken, keepToken, refusal } from "../token.js";
import { ask } from "./asking.js";
import { say } from "./language.js";

/** How long signing out waits for what it takes back elsewhere. */
const LEAVING_MS = 5_000;

/** The form. A token that is taken, or given back, begins the page anew. */
export class Account {
  /** @param {() => Promise<unknown>} leave what is done before the token is given back */
  constructor(leave) {
    find("token-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#give(find("token").value.trim());
    });
    find("sign-out").addEventListener("click", () => this.#signOut(leave));
  }

  /**
   * The server has told its configuration.
   * @param {{enable_login?: boolean}|null} config
   */
  async learned(config) {
    if (config?.enable_login !== true && !hasToken()) return;
    find("account").hidden = false;
    find("token-entry").hidden = hasToken();
    find("sign-out").hidden = !hasToken();
    try {
      this.#tell(hasToken() ? await this.#name() : refusal);
    } catch (error) {
      this.#tell(error.message);
    }
  }

  async #signOut(leave) {
    const question = { title: say("sign_out_title"), text: say("sign_out_text") };
    if ((await ask({ ...question, yes: say("sign_out") })) === null) return;
    const late = new Promise((resolve) => setTimeout(resolve, LEAVING_MS));
    await Promise.race([leave().catch(() => {}), late]);
    forgetToken();
    location.reload();
  }

  async #give(token) {
    if (token === "") return;
    try {
      const answer = await exchange(`${ROOT}v1/account`, { headers: bearer(token) });
      if (answer.status !== 200) this.#tell(reasonOf(answer));
      else if (!keepToken(token, find("token-longer").checked)) this.#tell(say("token_unkept"));
      else location.reload();
    } catch (error) {
      this.#tell(error.message);
    }
  }

  /** As whom the server knows this page. */
  async #name() {
    const answer = await exchange(`${ROOT}v1/account`, {});
    if (answer.status !== 200) return reasonOf(answer);
    return say("signed_in", { name: parseJson(answer.text)?.username });
  }

  #tell(text) {
    write(find("token-note"), text);
  }
}
