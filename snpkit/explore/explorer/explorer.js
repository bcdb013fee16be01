// The shell of every explorer and page: its controls, its questions to Python, what went wrong.

const VIEWS = { significance: stage, network, retrieval, searches };
const PAUSE = 400; // milliseconds without a key before a text counts as typed

/** A control; `ask({name: value}, its name)` is called when it has changed. */
function field(one, ask) {
  const set = (value) => ask({ [one.sets ?? one.name]: value }, one.name);
  if (one.kind === "button") {
    return make("button", { type: "button", onclick: () => set(one.value) }, one.label);
  }
  let control;
  if (one.kind === "select") {
    control = make("select", { onchange: () => set(control.value) });
    const groups = new Map();
    for (const [value, text, group] of one.options) {
      if (!groups.has(group)) {
        groups.set(group, make("optgroup", { label: group }));
        control.append(groups.get(group));
      }
      groups.get(group).append(make("option", { value, selected: value === one.value }, text));
    }
  } else if (one.kind === "check") {
    control = make("input", {
      type: "checkbox", checked: one.value, onchange: () => set(control.checked),
    });
  } else if (one.kind === "number") {
    control = make("input", {
      type: "number", value: one.value, min: one.min, max: one.max, step: one.step,
      onchange: () => set(Number(control.value)),
    });
  } else {
    let timer = null;
    const send = () => { clearTimeout(timer); if (control.value !== control.sent) set(control.sent = control.value); };
    control = make("input", {
      type: "text", value: one.value, dir: "auto", spellcheck: "false",
      oninput: (event) => {
        clearTimeout(timer);
        // An input method is still choosing letters; a path is typed to its end.
        if (!event.isComposing && !one.sets) timer = setTimeout(send, PAUSE);
      },
      onkeydown: (event) => { if (event.key === "Enter" && !event.isComposing) send(); },
      onchange: send,
    });
    control.sent = one.value;
  }
  control.name = one.name;
  const problem = make("small", { class: "problem", role: "alert" });
  return make("label", { class: `field ${one.kind}` }, make("span", {}, one.label), control, problem);
}

function render({ model, el }) {
  const live = typeof model.send === "function";
  let ask = live ? (set, from) => question({ set }, from) : null;
  const root = make("div", { class: live ? "snpkit snpkit-live" : "snpkit" });
  const note = make("p", { class: "note", role: "status" });
  const fields = make("div", { class: "fields" });
  const chips = make("div", { class: "chips" });
  const body = make("div", { class: "body" });
  root.append(note, fields, chips, body);
  el.replaceChildren(root);
  // Jupyter takes keys for its own; what is typed here stays here.
  root.addEventListener("keydown", (event) => event.stopPropagation());

  let asked = 0;
  let from = ""; // the control that asked last
  let shown = null; // what the view's function returned
  let gone = false;

  function question(content, control = "") {
    if (gone) return;
    asked += 1;
    from = control;
    model.send({ id: asked, ...content });
    pending(true);
  }
  function pending(busy) {
    root.setAttribute("aria-busy", busy);
    root.classList.toggle("busy", busy);
  }
  function present(view) {
    shown?.stop?.();
    shown = VIEWS[view.name](view, body, ask, shown);
  }
  function show() {
    const view = model.get("view");
    if (!view?.name || (live && view.asked < asked)) return; // the answer to an older question
    const names = (view.fields ?? []).map((one) => one.name);
    const focused = [...root.querySelectorAll("input, select, button")].indexOf(document.activeElement);
    const typing = document.activeElement?.closest?.(".fields")?.parentElement === root
      ? document.activeElement : null;
    if (live) {
      for (const one of view.fields ?? []) {
        const old = fields.querySelector(`[name="${one.name}"]`);
        if (old && old === typing) continue; // its caret stays where it is
        const made = field(one, ask);
        if (old) old.closest(".field").replaceWith(made);
        else fields.append(made);
      }
      [...fields.children].filter((one) => !names.includes(one.querySelector("[name]").name))
        .forEach((one) => one.remove());
      chips.replaceChildren(...(view.chips ?? []).map((chip) => make("button", {
        type: "button", onclick: () => ask(chip.set),
      }, chip.label)),
      make("button", { type: "button", disabled: !view.undo, onclick: () => question({ undo: true }) }, "↶ Undo"),
      make("button", { type: "button", onclick: () => question({ save: "html" }) }, "Save page"));
    }
    present(view);
    if (focused >= 0 && !root.contains(document.activeElement)) {
      root.querySelectorAll("input, select, button")[focused]?.focus({ preventScroll: true });
    }
  }
  function answered(answer) {
    if (answer.id !== asked) return;
    pending(false);
    root.querySelectorAll(".problem").forEach((one) => one.replaceChildren());
    root.querySelectorAll("[aria-invalid]").forEach((one) => one.removeAttribute("aria-invalid"));
    note.textContent = "";
    if (answer.page) save(answer.page);
    if (answer.error) {
      const at = root.querySelector(`[name="${from || answer.at}"]`);
      if (at?.closest(".field")) {
        at.setAttribute("aria-invalid", "true");
        at.closest(".field").querySelector(".problem").textContent = answer.error;
      } else note.textContent = answer.error;
    }
    show();
  }
  function save(page) {
    const link = make("a", {
      href: URL.createObjectURL(new Blob([page], { type: "text/html" })), download: "snpkit.html",
    });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  }

  if (live) {
    model.on("change:view", show);
    model.on("msg:custom", answered);
    model.on("comm_live_update", () => {
      gone = true;
      ask = null;
      pending(false);
      fields.replaceChildren();
      chips.replaceChildren();
      present(model.get("view"));
      note.textContent = "The kernel is gone: this is the last state. Run the cell again for a live one.";
    });
  } else if (model.get("view").saved) {
    note.textContent = "Saved without its kernel: run the cell again to change the text.";
  }
  show();
  return () => shown?.stop?.();
}

export default { render };
