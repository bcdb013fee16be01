export default {
  render({ model, el }) {
    begin(el, "button");
    const button = element("button", { type: "button" });
    el.append(button);
    button.addEventListener("click", () => model.send({ event: "click" }));
    follow(model, ["label", "hint", "disabled", "primary"], () => {
      button.textContent = model.get("label");
      button.title = model.get("hint");
      button.disabled = model.get("disabled");
      button.classList.toggle("is-primary", model.get("primary"));
    });
  },
};
