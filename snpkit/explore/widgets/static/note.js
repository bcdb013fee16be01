const TAGS = { title: "h3", heading: "h4", text: "p", quiet: "p", figure: "p" };

export default {
  render({ model, el }) {
    begin(el, "note");
    follow(model, ["kind", "label", "live"], () => {
      const kind = model.get("kind");
      let node = el.firstElementChild;
      // The node stays where it can: a live region that is made anew is not read out.
      if (!node || node.dataset.kind !== kind) {
        node = element(TAGS[kind], { class: `is-${kind}`, "data-kind": kind });
        el.replaceChildren(node);
      }
      if (model.get("live")) node.setAttribute("aria-live", "polite");
      if (node.textContent !== model.get("label")) node.textContent = model.get("label");
      el.classList.toggle("is-empty", !model.get("label"));
    });
  },
};
