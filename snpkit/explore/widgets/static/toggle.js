export default {
  render({ model, el }) {
    begin(el, "toggle");
    const field = element("input", { type: "checkbox", role: "switch" });
    labelled(model, el, field);
    field.addEventListener("change", () => {
      model.set("value", field.checked);
      model.save_changes();
    });
    follow(model, ["value"], () => {
      field.checked = model.get("value");
    });
  },
};
