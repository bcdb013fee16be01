function choices(options) {
  const nodes = [];
  const groups = new Map();
  for (const [value, text, group] of options) {
    const option = element("option", { value }, text);
    if (!group) {
      nodes.push(option);
      continue;
    }
    if (!groups.has(group)) {
      groups.set(group, element("optgroup", { label: group }));
      nodes.push(groups.get(group));
    }
    groups.get(group).append(option);
  }
  return nodes;
}

export default {
  render({ model, el }) {
    begin(el, "select");
    const field = element("select");
    labelled(model, el, field);
    field.addEventListener("change", () => {
      model.set("value", field.value);
      model.save_changes();
    });
    const show = () => {
      field.value = model.get("value");
    };
    follow(model, ["options"], () => {
      field.replaceChildren(...choices(model.get("options")));
      show();
    });
    follow(model, ["value"], show);
  },
};
