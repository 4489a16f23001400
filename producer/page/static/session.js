// The token, and questions to the API. The token stays in this tab and travels in a header: no cookie, no address.

const KEY = "chatterqueue-token";

/** An answer that is no answer: `status` is HTTP's, 0 if nothing came. */
export class Refusal extends Error {
  constructor(status, code, message) {
    super(message || code);
    this.status = status;
    this.code = code;
  }
}

/** Take the token out of the address, where it came in behind the #, before anybody sees or bookmarks it. */
export function takeTokenFromAddress() {
  const found = /^#token=([\w.~-]+)$/.exec(location.hash);
  if (!found) return;
  signIn(found[1]);
  history.replaceState(null, "", "/#/");
}

export function signIn(token) {
  sessionStorage.setItem(KEY, token);
}

export function isSignedIn() {
  return sessionStorage.getItem(KEY) !== null;
}

/** Return the answer to a question; throws `Refusal`. */
export async function ask(path, signal) {
  let answer;
  try {
    answer = await fetch(`/api/${path}`, {
      headers: { Authorization: `Bearer ${sessionStorage.getItem(KEY) ?? ""}` },
      cache: "no-store",
      credentials: "omit",
      redirect: "error",
      signal,
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Refusal(0, "unreachable", "the page's server does not answer; trying again");
  }
  if (answer.ok) return answer.json();
  const { error } = await answer.json().catch(() => ({ error: {} }));
  if (answer.status === 401) sessionStorage.removeItem(KEY);
  throw new Refusal(answer.status, error?.code ?? "refused", error?.message);
}
