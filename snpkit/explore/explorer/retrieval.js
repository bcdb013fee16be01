// Clips found by a sentence: cards in matching order and in re-ranked order, and why.

function retrieval(view, el, ask, kept) {
  const state = kept?.state ?? { reranked: view.reranked };
  if (ask) state.reranked = view.reranked;
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  const timers = new Set();

  const cards = view.hits.map((hit) => {
    const picture = hit.frames.length
      ? make("img", { src: hit.frames[0], alt: `${hit.name}, ${hit.frames.length} frames` })
      : make("p", { class: "hint" }, "This file can no longer be read.");
    let timer = null;
    const play = () => {
      if (hit.frames.length < 2 || still.matches) return;
      let frame = 0;
      timer = setInterval(() => { frame = (frame + 1) % hit.frames.length; picture.src = hit.frames[frame]; }, 350);
      timers.add(timer);
    };
    const rest = () => { clearInterval(timer); if (hit.frames.length) picture.src = hit.frames[0]; };
    const place = make("b", {});
    const score = make("span", { class: "value" });
    const why = (hit.words ?? []).map((word) => make("span", {
      class: word.gain < 0 ? "gain less" : "gain", "--s": word.share,
      title: `${word.gain < 0 ? "lowers" : "raises"} the score by ${number(Math.abs(word.gain), 1)}`,
    }, word.text, make("small", {}, (word.gain < 0 ? "" : "+") + number(word.gain, 1))));
    const card = make("li", { class: hit.true ? "card true" : "card", onmouseenter: play, onmouseleave: rest,
      onfocusin: play, onfocusout: rest },
    ask ? make("button", { type: "button", class: "open", "aria-label": `open ${hit.name} on the stage`,
      onclick: () => ask({ opened: hit.name }) }, picture) : picture,
    make("p", { class: "head" }, place, make("span", {}, hit.name), score),
    hit.reranked && hit.matching ? make("p", { class: "hint" },
      `cross-modal ${number(hit.reranked.score - hit.matching.score, 1)} + matching ${number(hit.matching.score, 1)}`) : null,
    hit.true ? make("p", { class: "mark" }, "✓ this sentence was written for it") : null,
    why.length ? make("p", { class: "why", dir: "auto" }, ...why) : null);
    return { hit, card, place, score };
  });
  const list = make("ol", { class: "cards" });
  const told = make("p", { class: "hint", role: "status" });
  const opened = make("div", {});
  const order = make("div", {});
  el.replaceChildren(make("div", { class: "retrieval" }, order, told, list, opened));

  function draw() {
    const before = new Map(cards.map(({ card }) => [card, card.getBoundingClientRect()]));
    const by = state.reranked ? "reranked" : "matching";
    const shown = cards.filter(({ hit }) => hit[by]).sort((a, b) => a.hit[by].place - b.hit[by].place)
      .slice(0, view.results);
    order.replaceChildren(view.can_rerank ? choice("order", [[false, "Matching order"], [true, "Re-ranked order"]],
      state.reranked, (value) => { state.reranked = value; if (ask) ask({ reranking: value }); draw(); }) : "");
    list.replaceChildren(...shown.map(({ card }) => card));
    shown.forEach(({ hit, card, place, score }) => {
      place.textContent = `${hit[by].place}.`;
      const moved = state.reranked && hit.matching ? hit.matching.place - hit.reranked.place : 0;
      score.replaceChildren(number(hit[by].score, 1),
        make("small", {}, moved ? ` ${moved > 0 ? "↑" : "↓"} ${Math.abs(moved)}` : ""));
      const [from, to] = [before.get(card), card.getBoundingClientRect()];
      if (from?.width && !still.matches && (from.x !== to.x || from.y !== to.y)) {
        card.animate([{ transform: `translate(${from.x - to.x}px, ${from.y - to.y}px)` }, { transform: "none" }],
          { duration: 500, easing: "ease-in-out" });
      }
    });
    told.textContent = `${view.told} ${!view.can_rerank ? "" : state.reranked
      ? "Ordered by the cross-modal pass, which reads sentence and clip together."
      : "Ordered by matching: one vector of the sentence with those of each clip."}`;
  }
  draw();
  let inner = null;
  if (view.opened) {
    opened.append(make("h3", {}, `On the stage: ${view.opened.video}`), make("div", {}));
    inner = stage(view.opened, opened.lastChild, null, null);
    opened.scrollIntoView?.({ block: "nearest" });
  }
  return { state, stop: () => { timers.forEach(clearInterval); inner?.stop(); } };
}

/** Several sentences and what was found for each. */
function searches(view, el) {
  const inner = view.searches.map((one) => {
    const box = make("div", {});
    return { one, box, part: make("section", {}, make("h2", { dir: "auto" }, `“${one.sentence}”`), box) };
  });
  el.replaceChildren(...inner.map(({ part }) => part));
  inner.forEach(({ one, box }) => retrieval(one, box, null, null));
  return {};
}
