export default {
  render({ model, el }) {
    begin(el, "picture");
    const image = element("img");
    const caption = element("figcaption");
    el.append(element("figure", {}, image, caption));
    follow(model, ["source", "alt", "width", "label"], () => {
      const source = model.get("source");
      const fine = source.startsWith("data:image/");
      image.hidden = !fine;
      if (fine && image.src !== source) image.src = source;
      image.alt = model.get("alt");
      image.style.maxWidth = model.get("width") ? `${model.get("width")}px` : "100%";
      caption.textContent = model.get("label");
      caption.hidden = !model.get("label");
    });
  },
};
