// Makes elements. Text goes in as text and nothing else: no string ever becomes markup here.

/** Return an element; `properties` are set on it, except `data`, `aria` and `role`, which become attributes. */
export function element(name, properties = {}, ...children) {
  const made = document.createElement(name);
  const { data = {}, aria = {}, role, ...others } = properties;
  Object.assign(made, others);
  Object.assign(made.dataset, data);
  for (const [key, value] of Object.entries(aria)) made.setAttribute(`aria-${key}`, value);
  if (role) made.setAttribute("role", role);
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** Change an element's text only if it is another: what is read aloud is then read once. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Say something to whoever does not see the page. */
export function announce(text) {
  setText(document.getElementById("announcer"), text);
}
