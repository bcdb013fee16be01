// The shared network in its two roles: one layer's attention, alone and with the clips.

function network(view, el, ask, kept) {
  const roles = Object.keys(view.roles); // "alone", "cross-modal"
  const state = kept?.state ?? { layer: view.layer, head: view.head, query: view.query };
  if (ask) Object.assign(state, { layer: view.layer, head: view.head, query: view.query });
  const read = Object.fromEntries(roles.map((role) => [role, bytes(view.roles[role].weights)]));

  /** Attention in [0, 1]; head null = the mean over the heads. */
  function weight(role, layer, head, from, to) {
    const { tokens } = view.roles[role];
    const at = (one) => read[role][((layer * view.heads + one) * tokens.length + from) * tokens.length + to] / 255;
    if (head !== null) return at(head);
    let sum = 0;
    for (let one = 0; one < view.heads; one += 1) sum += at(one);
    return sum / view.heads;
  }
  function choose(change) {
    Object.assign(state, change);
    if (ask) ask(change);
    draw();
  }

  function thumbnail(role, layer, head) {
    const { tokens } = view.roles[role];
    const picture = make("canvas", { width: tokens.length, height: tokens.length });
    const context = picture.getContext("2d");
    const pixels = context.createImageData(tokens.length, tokens.length);
    for (let from = 0; from < tokens.length; from += 1) {
      for (let to = 0; to < tokens.length; to += 1) {
        const one = Math.sqrt(weight(role, layer, head, from, to)); // small weights stay visible
        pixels.data.set([0, 114, 178, 255 * one], 4 * (from * tokens.length + to));
      }
    }
    context.putImageData(pixels, 0, 0);
    const name = `layer ${layer}, ${head === null ? "mean of the heads" : `head ${head}`}`;
    return make("button", {
      type: "button", class: "map", title: name, "aria-label": `${role}, ${name}`,
      onclick: () => choose({ layer, head }),
    }, picture);
  }
  const heads = [null, ...Array(view.heads).keys()];
  const thumbs = roles.map((role) => Array.from({ length: view.roles[role].layers }, (_, layer) =>
    heads.map((head) => thumbnail(role, layer, head))));

  const panels = roles.map((role, place) => {
    const { tokens } = view.roles[role];
    const arcs = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    arcs.setAttribute("role", "img");
    const row = tokens.map((token, at) => make("button", {
      type: "button", class: "token", onclick: () => choose({ query: at }),
      onmouseenter: () => { state.query = at; draw(); }, onmouseleave: () => { state.query = view.query; draw(); },
    }, make("span", {}, token), make("small", {})));
    const table = make("table", {},
      make("caption", {}, `${role}: layers down, heads across`),
      make("thead", {}, make("tr", {}, make("td"), ...heads.map((head) =>
        make("th", { scope: "col" }, head === null ? "mean" : String(head))))),
      make("tbody", {}, ...thumbs[place].map((line, layer) => make("tr", {},
        make("th", { scope: "row" }, String(layer)), ...line.map((one) => make("td", {}, one))))));
    const box = make("div", {},
      make("h3", {}, role === "alone" ? "The caption alone" : "Caption and clips together"),
      make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": `${role}: tokens` },
        make("div", { class: "tokens" }, arcs, make("div", { class: "row" }, ...row))),
      make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": `${role}: layers and heads` }, table));
    return { role, tokens, arcs, row, box };
  });
  const proof = make("p", { class: "rule" });
  el.replaceChildren(make("div", { class: "network" },
    make("p", { class: "hint" }, "Hover or choose the token that looks; the arcs tell where. Every small picture is a head: rows look, columns are looked at."),
    make("div", { class: "roles" }, ...panels.map((one) => one.box)), proof));

  function draw() {
    panels.forEach(({ role, tokens, arcs, row, box }, place) => {
      const there = state.layer < view.roles[role].layers && state.query < tokens.length;
      thumbs[place].forEach((line, layer) => line.forEach((one, at) =>
        one.setAttribute("aria-pressed", layer === state.layer && heads[at] === state.head)));
      const width = row[0].parentElement.scrollWidth;
      arcs.setAttribute("viewBox", `0 0 ${width || 1} 90`);
      arcs.style.width = `${width}px`;
      const centre = (one) => one.offsetLeft + one.offsetWidth / 2;
      const lines = [];
      let best = [0, 0];
      row.forEach((button, to) => {
        const one = there ? weight(role, state.layer, state.head, state.query, to) : 0;
        if (one > best[0]) best = [one, to];
        button.setAttribute("aria-pressed", to === state.query);
        button.style.setProperty("--s", one);
        button.querySelector("small").textContent = there ? number(one) : "";
        if (!there || to === state.query) return;
        const [x, y] = [centre(row[state.query]), centre(button)];
        const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
        const rise = Math.min(80, 18 + Math.abs(x - y) / 4);
        path.setAttribute("d", `M ${x} 88 C ${x} ${88 - rise}, ${y} ${88 - rise}, ${y} 88`);
        path.setAttribute("stroke-width", Math.max(12 * one, 0.3));
        lines.push(path);
      });
      arcs.replaceChildren(...lines);
      arcs.setAttribute("aria-label", there
        ? `${tokens[state.query]} looks most at ${tokens[best[1]]}, ${number(best[0])}`
        : "this role has no such token or layer");
    });
    proof.textContent = `${view.proofs[state.layer] ?? ""} ${view.note}`;
  }
  const watch = new ResizeObserver(draw);
  watch.observe(el);
  draw();
  return { state, stop: () => watch.disconnect() };
}
