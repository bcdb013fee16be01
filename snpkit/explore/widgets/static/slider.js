function written(model) {
  const value = model.get("value");
  const form = model.get("form");
  if (form === "percent") return `${Math.round(value * 1000) / 10} %`;
  if (form === "decimal") return value.toFixed(2);
  if (form === "list") return model.get("names")[value - model.get("minimum")] ?? String(value);
  return Math.round(value).toLocaleString("en-US");
}

export default {
  render({ model, el }) {
    begin(el, "slider");
    const field = element("input", { type: "range" });
    labelled(model, el, field);
    const output = element("output", { for: field.id });
    field.after(output);
    let timer = 0;
    field.addEventListener("input", () => {
      model.set("value", Number(field.value));
      // The kernel answers in its own time: one message per pause, not one per pixel.
      clearTimeout(timer);
      timer = setTimeout(() => model.save_changes(), 60);
    });
    follow(model, ["value", "minimum", "maximum", "step", "form", "names"], () => {
      field.min = model.get("minimum");
      field.max = model.get("maximum");
      field.step = model.get("step");
      if (Number(field.value) !== model.get("value")) field.value = model.get("value");
      const share = (model.get("value") - field.min) / (field.max - field.min || 1);
      field.style.setProperty("--share", String(Math.min(Math.max(share, 0), 1)));
      output.textContent = written(model);
      field.setAttribute("aria-valuetext", output.textContent);
    });
    return () => clearTimeout(timer);
  },
};
