export default {
  render({ model, el }) {
    begin(el, "status");
    const line = element("p", { role: "status", "aria-live": "polite" });
    el.append(line);
    follow(model, ["text", "wrong"], () => {
      const text = model.get("text");
      line.textContent = text && model.get("wrong") ? `\u26a0\ufe0e ${text}` : text;
      el.classList.toggle("is-wrong", Boolean(text) && model.get("wrong"));
      el.classList.toggle("is-empty", !text);
    });
  },
};
