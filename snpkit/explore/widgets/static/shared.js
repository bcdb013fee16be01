// Helpers that every control shares; each file below is read after this one.
// Text goes into the page by textContent and setAttribute alone, never as HTML.
// Each control is a module of its own, so that a counter would give two of them the same id.
const freshId = (what) => `snpkit-${what}-${Math.random().toString(36).slice(2)}`;

function element(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === true) node.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(key, value);
  }
  node.append(...children); // strings become text nodes
  return node;
}

// Run `draw` now and whenever one of the traits changes; anywidget forgets it with the view.
function follow(model, names, draw) {
  for (const name of names) model.on(`change:${name}`, draw);
  draw();
}

function begin(el, name) {
  el.classList.add("snpkit-control", `snpkit-${name}`);
  // JupyterLab takes keys before any element does: arrows would leave the cell, "x" would cut it.
  el.setAttribute("data-lm-suppress-shortcuts", "true");
  // And its notebook takes the focus back on every key that reaches it.
  el.addEventListener("keydown", (event) => {
    if (event.key !== "Tab") event.stopPropagation();
  });
}

// A label above its field and a hint below that belongs to the field's description.
function labelled(model, el, field) {
  const id = freshId("field");
  field.id = id;
  const label = element("label", { for: id });
  const hint = element("span", { class: "snpkit-hint", id: `${id}-hint` });
  el.append(label, field, hint);
  follow(model, ["label", "hint", "disabled"], () => {
    label.textContent = model.get("label");
    hint.textContent = model.get("hint");
    hint.hidden = !model.get("hint");
    field.disabled = model.get("disabled");
    if (model.get("hint")) field.setAttribute("aria-describedby", hint.id);
    else field.removeAttribute("aria-describedby");
  });
}
