// The list of narrations, the newest first, as they go on.

import { announce, element, setText } from "./dom.js";
import { poll } from "./poll.js";
import { ask } from "./session.js";
import { nameOf, standing } from "./words.js";

const STEP = 50;
const MOST = 500;

export async function showList(main, signal) {
  let limit = STEP;
  const rows = new Map();
  const body = element("tbody");
  const none = element("p", { className: "quiet", textContent: "There is no narration yet.", hidden: true });
  const more = element("button", { textContent: "Show more", hidden: true });
  const heads = ["Narration", "State", "Progress"].map((text) => element("th", { scope: "col", textContent: text }));
  const table = element("table", { className: "narrations" }, element("thead", {}, element("tr", {}, ...heads)), body);
  document.title = "Narrations · chatterqueue";
  main.replaceChildren(element("h1", { textContent: "Narrations" }), table, none, more);

  async function update() {
    const { narrations } = await ask(`narrations?limit=${limit}`, signal);
    const known = new Set(narrations.map((status) => status.id));
    for (const [id, row] of rows) if (!known.has(id)) (row.node.remove(), rows.delete(id));
    narrations.forEach((status, at) => {
      if (!rows.has(status.id)) rows.set(status.id, newRow(status));
      const row = rows.get(status.id);
      row.update(status);
      // Moved only if it is elsewhere, so that the focus stays where it is.
      if (body.children[at] !== row.node) body.insertBefore(row.node, body.children[at] ?? null);
    });
    none.hidden = narrations.length > 0;
    more.hidden = narrations.length < limit || limit >= MOST;
    announce(numbers(narrations));
  }
  more.addEventListener("click", () => {
    limit = Math.min(limit + STEP, MOST);
    update().catch(() => {}); // the next poll says what is wrong
  });
  await poll(update, signal);
}

function numbers(narrations) {
  const underWay = narrations.filter((status) => !status.has_ended).length;
  return `${underWay} under way, ${narrations.length - underWay} ended`;
}

function newRow(status) {
  const link = element("a", { href: `#/narrations/${status.id}`, textContent: nameOf(status) });
  const state = element("span");
  const bar = element("progress", { max: 1, value: 0 }, "");
  bar.setAttribute("aria-label", `progress of ${nameOf(status)}`);
  const details = element("p", { className: "quiet" });
  const node = element(
    "tr",
    { data: { id: status.id } },
    element("td", {}, link),
    element("td", {}, state),
    element("td", { className: "amount" }, bar, details),
  );
  return {
    node,
    update(now) {
      setText(state, now.state);
      state.className = `state ${now.state}`;
      bar.value = now.progress;
      bar.hidden = now.has_ended;
      setText(details, standing(now));
    },
  };
}
