// What every view is made of.

/** An element; children and attributes can only become text, so that no caption becomes markup. */
const make = (name, attributes = {}, ...children) => {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key.startsWith("--")) node.style.setProperty(key, value);
    else if (key.startsWith("aria-")) node.setAttribute(key, String(value));
    else if (value === true) node.setAttribute(key, "");
    else if (value !== false && value != null) node.setAttribute(key, value);
  }
  node.append(...children.filter((child) => child != null));
  return node;
};
const number = (value, digits = 2) =>
  value == null ? "—" : (Math.round(value * 100) / 100 + 0).toFixed(digits).replace("-", "−");
const signs = (text) => text.replaceAll(" - ", " − ");
const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
const ordinal = (n) => n + (["st", "nd", "rd"][((n + 90) % 100 - 10) % 10 - 1] ?? "th");
/** A choice of one of several, as pressed buttons. */
const choice = (label, options, chosen, choose) =>
  make("div", { class: "choice", role: "group", "aria-label": label },
    ...options.map(([value, text]) => make("button", {
      type: "button", "aria-pressed": value === chosen, onclick: () => choose(value),
    }, text)));
