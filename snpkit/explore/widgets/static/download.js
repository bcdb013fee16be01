export default {
  render({ model, el }) {
    begin(el, "button");
    el.classList.add("snpkit-download");
    const button = element("button", { type: "button" });
    el.append(button);
    let asked = false; // of several views of one button only the one that was clicked saves
    button.addEventListener("click", () => {
      asked = true;
      model.send({ event: "click" });
    });
    const save = (message, buffers) => {
      if (message.event !== "file" || !asked) return;
      asked = false;
      const address = URL.createObjectURL(new Blob(buffers, { type: message.type }));
      const anchor = element("a", { href: address, download: message.name });
      document.body.append(anchor);
      anchor.click();
      anchor.remove();
      setTimeout(() => URL.revokeObjectURL(address), 10000);
    };
    model.on("msg:custom", save);
    follow(model, ["label", "hint", "disabled"], () => {
      button.textContent = model.get("label");
      button.title = model.get("hint");
      button.disabled = model.get("disabled");
    });
    return () => model.off("msg:custom", save);
  },
};
