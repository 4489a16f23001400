// Asks again and again, not while nobody looks, and more slowly while nobody answers.

import { setText } from "./dom.js";
import { Refusal } from "./session.js";

const EVERY_MS = 1000;
const LONGEST_MS = 15000;
/** Answers that no patience changes. */
const FINAL = [400, 401, 404];

/**
 * Call `question` until it returns true, or `signal` is aborted. What goes wrong for now is said at the top of the page
 * and asked again; what goes wrong for good is thrown.
 */
export async function poll(question, signal) {
  const trouble = document.getElementById("trouble");
  let pauseMs = EVERY_MS;
  while (!signal.aborted) {
    try {
      const isOver = await question();
      setText(trouble, "");
      if (isOver) return;
      pauseMs = EVERY_MS;
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof Refusal) || FINAL.includes(error.status)) throw error;
      setText(trouble, error.message);
      pauseMs = Math.min(pauseMs * 2, LONGEST_MS);
    }
    await rest(pauseMs, signal);
    await untilSeen(signal);
  }
}

function rest(pauseMs, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, pauseMs);
    signal.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
  });
}

function untilSeen(signal) {
  if (!document.hidden) return null;
  return new Promise((resolve) => {
    document.addEventListener("visibilitychange", resolve, { once: true, signal });
    signal.addEventListener("abort", resolve, { once: true });
  });
}
