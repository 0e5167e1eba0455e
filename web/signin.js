// signin.js: the form in the head of the page by which a visitor gives a token, and what the server
// says to it. There is none where the server asks nobody who he is. The token is kept by token.js.

import { find, write } from "./elements.js";
import { ROOT, exchange, parseJson, reasonOf } from "./net.js";
import { bearer, forgetToken, hasToken, keepToken, refusal } from "./token.js";
import { say } from "./words/say.js";

/** The form. A token that is taken, or given back, begins the page anew. */
export class SignIn {
  #topic;
  #announce;

  /**
   * @param {string} topic what the page reads
   * @param {(text: string) => void} announce
   */
  constructor(topic, announce) {
    this.#topic = topic;
    this.#announce = announce;
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
   * The server has told its configuration, or has not answered.
   * @param {{enable_login?: boolean}|null} config
   */
  async learned(config) {
    if (config?.enable_login !== true) return;
    find("token-form").hidden = false;
    find("token-entry").hidden = hasToken();
    find("sign-out").hidden = !hasToken();
    try {
      this.#tell(hasToken() ? await this.#account() : refusal || (await this.#lack()));
    } catch (error) {
      this.#tell(error.message);
    }
  }

  async #give(token) {
    try {
      const answer = await exchange(`${ROOT}v1/account`, { headers: bearer(token) });
      if (answer.status !== 200) this.#tell(reasonOf(answer));
      else if (!keepToken(token)) this.#tell(say("token.notkept"));
      else location.reload();
    } catch (error) {
      this.#tell(error.message);
    }
  }

  /** As whom the server knows this page. */
  async #account() {
    const answer = await exchange(`${ROOT}v1/account`, {});
    if (answer.status !== 200) return reasonOf(answer);
    return say("token.signedin", { name: parseJson(answer.text)?.username });
  }

  /** Why a page without a token does not do. */
  async #lack() {
    const answer = await exchange(`${ROOT}${encodeURIComponent(this.#topic)}/auth`, {});
    return answer.status === 200 ? "" : reasonOf(answer);
  }

  #tell(text) {
    if (write(find("token-note"), text) && text) this.#announce(text);
  }
}
