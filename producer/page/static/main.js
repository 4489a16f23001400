// Which view is shown, by what stands behind the # in the address, and what happens when one cannot be.

import { element } from "./dom.js";
import { showEntry } from "./entry.js";
import { showList } from "./list.js";
import { showNarration } from "./narration.js";
import { isSignedIn, takeTokenFromAddress } from "./session.js";

const main = document.getElementById("main");
let leaving = new AbortController();

async function show() {
  leaving.abort();
  leaving = new AbortController();
  const { signal } = leaving;
  takeTokenFromAddress();
  document.getElementById("trouble").textContent = "";
  if (!isSignedIn()) return showEntry(main, show);
  const found = /^#\/narrations\/([a-z2-7]{26})$/.exec(location.hash);
  try {
    await (found ? showNarration(main, found[1], signal) : showList(main, signal));
  } catch (error) {
    if (signal.aborted) return;
    if (error.status === 401) return showEntry(main, show, "This token is not, or no longer, the right one.");
    const text = error.status === 404 ? "No such narration, or its record has expired." : `This cannot be shown: ${error.message}`;
    main.replaceChildren(element("p", { className: "reason", textContent: text }));
  }
}

addEventListener("hashchange", () => {
  show();
  scrollTo(0, 0);
  main.focus({ preventScroll: true });
});
show();
