const PAUSE = 500; // milliseconds without a key before what was typed is sent

export default {
  render({ model, el }) {
    begin(el, "text");
    const field = element("input", { type: "text", autocomplete: "off", spellcheck: "false" });
    labelled(model, el, field);
    const list = element("datalist", { id: `${field.id}-list` });
    const problem = element("span", { class: "snpkit-problem", id: `${field.id}-problem` });
    el.append(problem, list);
    let timer = 0;
    const send = () => {
      clearTimeout(timer);
      if (model.get("value") === field.value) return;
      model.set("value", field.value);
      model.save_changes();
    };
    field.addEventListener("input", () => {
      clearTimeout(timer);
      if (model.get("live")) timer = setTimeout(send, PAUSE);
    });
    field.addEventListener("change", send);
    field.addEventListener("keydown", (event) => {
      if (event.key === "Enter") send();
    });
    follow(model, ["value"], () => {
      if (field.value !== model.get("value")) field.value = model.get("value");
    });
    follow(model, ["invalid", "problem"], () => {
      const wrong = model.get("invalid");
      problem.textContent = wrong ? model.get("problem") : "";
      problem.hidden = !problem.textContent;
      field.setAttribute("aria-invalid", String(wrong));
      if (problem.hidden) field.removeAttribute("aria-errormessage");
      else field.setAttribute("aria-errormessage", problem.id);
    });
    follow(model, ["placeholder", "number", "suggestions"], () => {
      field.placeholder = model.get("placeholder");
      field.inputMode = model.get("number") ? "numeric" : "text";
      el.classList.toggle("is-number", model.get("number"));
      const offered = model.get("suggestions");
      list.replaceChildren(...offered.map((text) => element("option", { value: text })));
      if (offered.length) field.setAttribute("list", list.id);
      else field.removeAttribute("list");
    });
    return () => clearTimeout(timer);
  },
};
