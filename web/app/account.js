// app/account.js: the form by which somebody gives this page a token, and what the server says to
// it. There is none where the server asks nobody who he is. The token is kept by token.js.

import { find, write } from "../elements.js";
import { ROOT, exchange, parseJson, reasonOf } from "../net.js";
import { bearer, forgetToken, hasToken, keepToken, refusal } from "../token.js";
import { say } from "./language.js";

/** The form. A token that is taken, or given back, begins the page anew. */
export class Account {
  constructor() {
    find("token-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#give(find("token").value.trim());
    });
    find("sign-out").addEventListener("click", () => {
      forgetToken();
      location.reload();
    });
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
