// Asks for the token.

import { element } from "./dom.js";
import { signIn } from "./session.js";

export function showEntry(main, onEntered, trouble = "") {
  const field = element("input", { type: "password", id: "token", autocomplete: "off", required: true, spellcheck: false });
  const form = element(
    "form",
    { className: "entry" },
    element("h1", { textContent: "Narrations" }),
    element("p", { className: "reason", role: "alert", textContent: trouble }),
    element("label", { htmlFor: "token", textContent: "Token" }),
    field,
    element("button", { textContent: "Open" }),
    element("p", {
      className: "quiet",
      textContent: "It is the end of the address that `chatterqueue up` and `chatterqueue page` print, or CHATTERQUEUE_PAGE_TOKEN.",
    }),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const token = field.value.trim().replace(/^.*#token=/, "");
    if (!/^[\x21-\x7e]+$/.test(token)) return;
    signIn(token);
    onEntered();
  });
  document.title = "chatterqueue";
  main.replaceChildren(form);
  field.focus();
}
