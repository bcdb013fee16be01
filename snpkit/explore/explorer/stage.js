// Words above the frames they point at.

const SPEEDS = [0.5, 1, 2];
const PER_SECOND = 3; // frames of a clip: they are seconds apart in the video, not neighbours

/**
 * Words above a frame under their maps; four kinds of significance; the masking game.
 * @param ask sets values in Python; null in a page that stands alone.
 * @param kept what this function returned for an earlier view: frame, speed and kind stay.
 */
function stage(view, el, ask, kept) {
  const [rows, columns] = view.grid;
  const cells = rows * columns;
  const maps = view.words.map((word) => bytes(word.map)); // uint8 [frames * rows * columns]
  const brightest = maps[view.start].indexOf(255); // its strongest patch in all frames
  const state = { word: view.start, kind: 0, frame: Math.max(Math.floor(brightest / cells), 0),
    playing: false, speed: 1, smooth: false };
  if (kept) {
    const { kind, frame, speed, smooth } = kept.state;
    Object.assign(state, { kind, speed, smooth, frame: frame % view.frames.length });
  }
  const edit = { word: null, instead: null }; // a masked word, and the guess put in its place
  let cell = null; // of the frame, under the pointer

  // ---- words
  const words = view.words.map((word, place) =>
    make("button", {
      class: word.unknown ? "word unknown" : "word", type: "button",
      title: word.unknown ? "The model has never seen this word." : null,
      onmouseenter: () => select(place), onfocus: () => select(place), onclick: () => mask(place),
    }, word.text));
  const sentence = make("p", { class: "sentence", dir: "auto" });
  let end = 0;
  view.words.forEach((word, place) => {
    sentence.append(view.caption.slice(end, word.start), words[place]);
    end = word.end;
  });
  sentence.append(make("span", { class: "unread", title: "The model does not read that far." },
    view.caption.slice(end)));

  // ---- the frame under the map
  const canvas = make("canvas", {
    role: "img", tabindex: 0, width: 640, height: Math.round(640 * view.height / view.width),
    onpointermove: (event) => point(cellAt(event)), onpointerleave: () => point(null),
    onblur: () => point(null), onkeydown: walk,
  });
  const told = make("p", { class: "told", role: "status" });
  const pictures = view.frames.map((source) => {
    const picture = new Image();
    picture.onload = () => paint();
    picture.src = source;
    return picture;
  });
  const strip = view.frames.map((source, frame) =>
    make("button", {
      type: "button", class: frame % view.per_clip ? "thumb" : "thumb first",
      "aria-label": frameName(frame), onclick: () => show(frame),
    }, make("img", { src: source, alt: "" }), make("i")));

  // ---- controls
  const play = make("button", { type: "button", class: "play", onclick: () => toggle() });
  const speed = make("select", { onchange: () => { state.speed = +speed.value; } },
    ...SPEEDS.map((one) => make("option", { value: one, selected: one === state.speed }, `${one} ×`)));
  const smooth = make("input", {
    type: "checkbox", checked: state.smooth, onchange: () => { state.smooth = smooth.checked; paint(); },
  });
  const controls = make("div", { class: "controls" }, play,
    make("button", { type: "button", "aria-label": "previous frame", onclick: () => step(-1) }, "◂"),
    make("button", { type: "button", "aria-label": "next frame", onclick: () => step(1) }, "▸"),
    make("label", {}, "speed ", speed), make("label", {}, smooth, " smooth"));

  // ---- four kinds of significance, one row each, aligned by word
  const rules = make("p", { class: "rule" });
  const kinds = view.kinds.map((kind, kindPlace) => {
    const bars = view.words.map((word, place) => make("td", {
      onmouseenter: () => select(place), "--s": kind.values[place],
    }, make("i"), make("span", { class: "unseen" }, number(kind.values[place]))));
    const value = make("td", { class: "value" });
    const row = make("tr", { onmouseenter: () => explain(kindPlace) },
      make("th", { scope: "row" }, make("button", {
        type: "button", onclick: () => explain(kindPlace), onfocus: () => explain(kindPlace),
      }, kind.title)), ...bars, value);
    return { ...kind, bars, value, row };
  });
  const heads = view.words.map((word, place) =>
    make("th", { scope: "col", onmouseenter: () => select(place) }, make("span", {}, word.text)));
  const table = make("table", { class: "kinds" },
    make("caption", {}, "Four kinds of significance, each from 0 to 1"),
    make("thead", {}, make("tr", {}, make("td"), ...heads, make("td"))),
    make("tbody", {}, ...kinds.map((kind) => kind.row)));

  // ---- the masking game
  const score = make("p", { class: "score" });
  const game = make("div", { class: "game" });

  const strange = view.words.filter((word) => word.unknown).map((word) => `“${word.text}”`);
  const unknown = strange.length ? make("p", { class: "warn" },
    `The model has never seen ${strange.join(", ")}; numbers of such a word mean nothing.`) : "";
  const more = make("div", { class: "more" });
  el.replaceChildren(make("div", { class: "stage", onkeydown: keys },
    sentence,
    make("div", { class: "both", "--ratio": view.width / view.height },
      make("div", { class: "frame" }, canvas, make("div", { class: "strip" }, ...strip), controls, told),
      make("div", { class: "side" }, unknown, score, game,
        make("div", { class: "scroll", tabindex: 0, role: "region",
          "aria-label": "Four kinds of significance" }, table), rules, more))));

  function frameName(frame) {
    const clip = Math.floor(frame / view.per_clip) + 1;
    return `clip ${clip}, frame ${(frame % view.per_clip) + 1}`;
  }
  const light = (word, frame, one) => maps[word][frame * cells + one] / 255;

  // ---- what changes the state
  function select(word) {
    state.word = word;
    draw();
  }
  function show(frame) {
    state.frame = (frame + view.frames.length) % view.frames.length;
    draw();
  }
  function step(by) {
    toggle(false);
    show(state.frame + by);
  }
  let timer = null;
  function toggle(playing = !state.playing) {
    state.playing = playing;
    clearTimeout(timer);
    const next = () => {
      show(state.frame + 1);
      timer = setTimeout(next, 1000 / PER_SECOND / state.speed);
    };
    if (playing) next();
    draw();
  }
  function mask(word) {
    const again = edit.word === word;
    edit.word = again ? null : word;
    edit.instead = null;
    state.word = word;
    draw();
  }
  function replace(guess) {
    edit.instead = guess;
    draw();
  }
  function point(where) {
    cell = where;
    draw();
  }
  function cellAt(event) {
    const box = canvas.getBoundingClientRect();
    const part = (at, from, size, count) =>
      Math.min(Math.max(Math.floor((at - from) / size * count), 0), count - 1);
    return part(event.clientY, box.top, box.height, rows) * columns
      + part(event.clientX, box.left, box.width, columns);
  }
  function walk(event) {
    const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[event.key];
    if (!by) return;
    event.preventDefault();
    point(cell === null ? 0 : Math.min(Math.max(cell + by, 0), cells - 1));
  }
  function keys(event) {
    if (event.key === " " && !event.target.closest("button, select, input, a")) {
      event.preventDefault();
      toggle();
    } else if (event.key === "Escape" && edit.word !== null) {
      words[edit.word].focus();
      mask(edit.word);
    }
  }
  function explain(kind) {
    state.kind = kind;
    draw();
  }

  // ---- drawing
  function draw() {
    const total = cell === null ? 0
      : maps.reduce((sum, _, word) => sum + light(word, state.frame, cell), 0);
    words.forEach((button, place) => {
      const masked = edit.word === place;
      button.textContent = !masked ? view.words[place].text : edit.instead?.word ?? "[MASK]";
      button.classList.toggle("on", place === state.word);
      button.classList.toggle("masked", masked);
      button.setAttribute("aria-pressed", masked);
      button.style.setProperty("--s", kinds[state.kind].values[place]);
      const share = total ? light(place, state.frame, cell) / total : 0;
      button.style.setProperty("--swell", 1 + 0.9 * share);
    });
    heads.forEach((head, place) => head.classList.toggle("on", place === state.word));
    kinds.forEach((kind, place) => {
      kind.row.classList.toggle("on", place === state.kind);
      kind.bars.forEach((bar, place) => bar.classList.toggle("on", place === state.word));
      kind.value.replaceChildren(number(kind.values[state.word]),
        make("small", {}, number(kind.raw[state.word])));
    });
    const { title, equation, rule } = kinds[state.kind];
    rules.replaceChildren(make("b", {}, title), " ", make("code", {}, signs(equation)), " ", signs(rule));
    strip.forEach((thumb, frame) => {
      thumb.setAttribute("aria-pressed", frame === state.frame);
      const lights = maps[state.word].subarray(frame * cells, (frame + 1) * cells);
      thumb.style.setProperty("--s", Math.max(...lights) / 255);
    });
    play.textContent = state.playing ? "❚❚ Pause" : "▶ Play";
    drawGame();
    paint();
  }

  function drawGame() {
    const masked = edit.word === null ? null : view.words[edit.word];
    const change = edit.instead && edit.instead.score - view.score;
    line?.move(edit.instead?.score ?? view.score);
    score.replaceChildren(`${view.score_name} `, make("b", {}, number(view.score, 1)),
      change === null ? "" : ` → ${number(edit.instead.score, 1)} with “${edit.instead.word}” (${
        change < 0 ? "" : "+"}${number(change, 1)})`);
    if (!masked) {
      game.replaceChildren(make("p", { class: "hint" },
        "Hover a word to see where it looks; click it to hide it from the model."));
      return;
    }
    const side = (title, guesses) => make("div", {}, make("h3", {}, title),
      ...(guesses ? guesses.map((guess) => make("button", {
        type: "button", class: "guess", "--s": guess.probability,
        "aria-pressed": edit.instead?.word === guess.word, onclick: () => replace(guess),
      }, make("span", {}, guess.word), make("i"),
      make("small", {}, `${Math.round(100 * guess.probability)} %`)))
        : [make("p", { class: "hint" }, "This model has no such head.")]));
    const focused = document.activeElement?.closest?.(".guess")?.textContent;
    game.replaceChildren(
      make("p", {}, "Which word is hidden? Its five likeliest guesses:"),
      make("div", { class: "guesses" }, side("from the text alone", masked.alone),
        side("with the video", masked.with_video)),
      make("button", { type: "button", class: "undo", onclick: () => { words[edit.word].focus(); mask(edit.word); } },
        `Put “${masked.text}” back`));
    if (focused) [...game.querySelectorAll(".guess")].find((one) => one.textContent === focused)?.focus();
  }

  function paint() {
    const picture = pictures[state.frame];
    const context = canvas.getContext("2d");
    const { width, height } = canvas;
    if (picture.complete && picture.naturalWidth) {
      context.imageSmoothingEnabled = picture.naturalWidth > width;
      context.drawImage(picture, 0, 0, width, height);
    }
    drawMap(context, width, height);
    let best = 0;
    for (let one = 1; one < cells; one += 1) {
      if (light(state.word, state.frame, one) > light(state.word, state.frame, best)) best = one;
    }
    const marked = cell ?? best;
    const [w, h] = [width / columns, height / rows];
    const [x, y] = [(marked % columns) * w, Math.floor(marked / columns) * h];
    for (const [ink, line] of [["#000", 5], ["#fff", 2]]) { // light on dark: seen anywhere
      context.strokeStyle = ink;
      context.lineWidth = line;
      context.strokeRect(x + 3, y + 3, w - 6, h - 6);
    }
    const word = view.words[state.word].text;
    const at = `row ${Math.floor(marked / columns) + 1}, column ${(marked % columns) + 1}`;
    const value = number(light(state.word, state.frame, marked));
    const what = cell === null ? "strongest patch" : "patch";
    told.textContent = `“${word}”, ${frameName(state.frame)}: ${what} in ${at}: ${value}`;
    canvas.setAttribute("aria-label", `The video under the map of ${told.textContent}`);
  }

  function drawMap(context, width, height) {
    const small = new OffscreenCanvas(columns, rows);
    const brush = small.getContext("2d");
    const shade = brush.createImageData(columns, rows);
    const tint = brush.createImageData(columns, rows);
    for (let one = 0; one < cells; one += 1) {
      const share = light(state.word, state.frame, one);
      shade.data.set([0, 0, 0, 255 * 0.7 * (1 - share)], 4 * one);
      tint.data.set([230, 159, 0, 255 * 0.45 * share * share], 4 * one);
    }
    context.imageSmoothingEnabled = state.smooth;
    for (const layer of [shade, tint]) {
      brush.putImageData(layer, 0, 0);
      context.drawImage(small, 0, 0, width, height);
    }
  }

  const line = view.line ? scoreLine(view) : null;
  if (line) more.append(line.figure);
  if (view.masks) more.append(maskLines(view, ask));
  draw();
  return { state, stop: () => clearTimeout(timer) };
}

/** All clips of a folder by their score with the caption; the own one is marked. */
function scoreLine(view) {
  const scores = view.line.map((one) => one.score);
  const [low, high] = [Math.min(...scores), Math.max(...scores)];
  const at = (score) => (high > low ? Math.min(Math.max((score - low) / (high - low), 0), 1) : 0.5);
  const own = view.line.find((one) => one.own);
  const above = own && scores.filter((score) => score > own.score).length;
  const said = own
    ? `This clip fits the caption ${above ? `${ordinal(above + 1)} best` : "best"} of ${scores.length} clips.`
    : `The scores of ${scores.length} shipped clips.`;
  const dots = view.line.map((one) =>
    make("i", { class: one.own ? "own" : "", title: `${one.name}: ${number(one.score, 1)}`, "--s": at(one.score) }));
  const figure = make("figure", { class: "line" },
    make("figcaption", {}, said, " ", make("small", {}, `${number(low, 1)} to ${number(high, 1)}`)),
    make("div", { role: "img", "aria-label": said }, ...dots));
  const dot = dots.find((one) => one.className === "own");
  return { figure, move: (score) => dot?.style.setProperty("--s", at(score)) };
}

/** What MLM and MSSM hide of the caption, with the controls of the draw. */
function maskLines(view, ask) {
  const lines = Object.entries(view.masks).map(([way, drawn]) =>
    make("p", { class: "masks" }, make("b", {}, way), ...drawn.map((there, place) => {
      const { text } = view.words[place];
      if (there === null) return make("span", {}, text);
      const [look, shown] = there === "[MASK]" ? ["masked", there]
        : there === text.toLowerCase() ? ["kept", text] : ["replaced", there];
      return make("span", { class: look, title: `${text}, ${look}` }, shown);
    })));
  return make("details", { open: true }, make("summary", {}, "Masked for training"), ...lines,
    ask && make("div", { class: "fields" }, ...view.masking.map((one) => field(one, ask))));
}
