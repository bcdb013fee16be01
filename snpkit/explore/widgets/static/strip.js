function wordOf(token, selectable) {
  const word = element("b", { dir: "auto" }, token.text);
  const bars = (token.bars ?? []).map((bar, place) => {
    const line = element("i");
    line.style.setProperty("--share", String(bar.value));
    return [
      element("span", { class: `snpkit-bar is-${place}`, "aria-hidden": "true" }, line),
      element("small", { class: `is-${place}` }, bar.text),
    ];
  });
  const node = element(selectable ? "button" : "span", { class: "snpkit-word" });
  if (selectable) node.type = "button";
  node.append(word, ...bars.flat());
  if (token.bars?.length) node.style.setProperty("--share", String(token.bars[0].value));
  node.classList.toggle("is-tinted", Boolean(token.bars?.length));
  if (token.look) node.classList.add(`is-${token.look}`);
  if (token.said) {
    word.setAttribute("aria-hidden", "true");
    node.append(element("span", { class: "snpkit-unseen" }, token.said));
  }
  return node;
}

function keyOf(series) {
  const parts = series.map((name, place) =>
    element("span", {}, element("i", { class: `is-${place}`, "aria-hidden": "true" }), name));
  return parts;
}

function lines(detail) {
  return detail.map((line, place) => element(place ? "span" : "strong", {}, line));
}

export default {
  render({ model, el }) {
    begin(el, "strip");
    const id = freshId("strip");
    const key = element("p", { class: "snpkit-key" });
    const row = element("div", { class: "snpkit-words" });
    const detail = element("p", { class: "snpkit-detail", "aria-hidden": "true" });
    const unseen = element("div", { hidden: true });
    const hint = element("span", { class: "snpkit-hint" });
    el.append(key, row, detail, unseen);
    let current = 0; // the word that holds the tab stop
    let shown = -1; // the word whose detail is below

    const explain = (place) => {
      shown = place;
      const token = model.get("tokens")[place];
      const known = token?.detail?.length;
      hint.textContent = model.get("hint");
      detail.replaceChildren(...(known ? lines(token.detail) : [hint]));
      detail.hidden = !known && !model.get("hint");
    };
    const press = (place) => {
      const before = model.get("selected");
      const has = before.includes(place);
      const kept = model.get("several") ? before.filter((other) => other !== place) : [];
      model.set("selected", has ? kept : [...kept, place].sort((a, b) => a - b));
      model.save_changes();
    };
    const rove = (place) => {
      const words = [...row.children];
      current = Math.max(0, Math.min(place, words.length - 1));
      words.forEach((word, index) => { word.tabIndex = index === current ? 0 : -1; });
    };
    const mark = () => {
      const chosen = new Set(model.get("selected"));
      [...row.children].forEach((word, place) => {
        if (model.get("selectable")) word.setAttribute("aria-pressed", String(chosen.has(place)));
      });
    };
    const draw = () => {
      const tokens = model.get("tokens");
      const selectable = model.get("selectable");
      const focused = row.contains(document.activeElement);
      row.setAttribute("role", selectable ? "toolbar" : "group");
      row.setAttribute("aria-label", model.get("label"));
      row.replaceChildren(...tokens.map((token) => wordOf(token, selectable)));
      unseen.replaceChildren(...tokens.map((token, place) =>
        element("span", { id: `${id}-${place}` }, (token.detail ?? []).join(". "))));
      [...row.children].forEach((word, place) => {
        if (tokens[place].detail?.length) word.setAttribute("aria-describedby", `${id}-${place}`);
      });
      if (selectable) rove(current);
      mark();
      if (focused && selectable) row.children[current]?.focus();
      key.hidden = !model.get("series").length;
      key.replaceChildren(...keyOf(model.get("series")));
      explain(shown < tokens.length ? shown : -1);
    };
    const placeOf = (event) => [...row.children].indexOf(event.target.closest(".snpkit-word"));

    row.addEventListener("click", (event) => {
      const place = placeOf(event);
      if (place < 0 || !model.get("selectable") || model.get("disabled")) return;
      rove(place);
      press(place);
    });
    row.addEventListener("mouseover", (event) => {
      if (placeOf(event) >= 0) explain(placeOf(event));
    });
    row.addEventListener("focusin", (event) => {
      if (placeOf(event) < 0) return;
      rove(placeOf(event));
      explain(placeOf(event));
    });
    row.addEventListener("keydown", (event) => {
      const last = row.children.length - 1;
      const steps = { ArrowRight: current + 1, ArrowLeft: current - 1, Home: 0, End: last };
      if (event.key in steps) {
        rove(steps[event.key]);
        row.children[current].focus();
        event.preventDefault();
      }
    });
    follow(model, ["tokens", "series", "label", "selectable", "hint"], draw);
    follow(model, ["selected"], mark);
  },
};
