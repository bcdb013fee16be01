"""Controls that everybody can use: native elements with labels, made of the files in `static`.

ipywidgets' own sliders carry no accessible name, and it has no strip of words; these are small
anywidgets instead. Text only ever becomes `textContent`, so that no caption can turn into HTML.
Every control adds the class "snpkit-control" and a class of its own (named below) to its element.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anywidget
import traitlets

_STATIC = Path(__file__).parent / "static"
_CSS = (_STATIC / "controls.css").read_text(encoding="utf-8")
_SHARED = (_STATIC / "shared.js").read_text(encoding="utf-8")


def _module(name: str) -> str:
    # One file per control after the helpers that all share: a module made from text imports none.
    return _SHARED + (_STATIC / f"{name}.js").read_text(encoding="utf-8")


class Control(anywidget.AnyWidget):
    """Base: `label` is seen and read out; `hint` is a quiet sentence below, part of the name."""

    _css = _CSS
    label = traitlets.Unicode().tag(sync=True)
    hint = traitlets.Unicode().tag(sync=True)
    disabled = traitlets.Bool(False).tag(sync=True)


class Slider(Control):
    """A native range slider with its number beside it (class "snpkit-slider").

    Attributes:
        value: a number from `minimum` to `maximum` in steps of `step`.
        form: how the number is written: "integer", "decimal" (two digits), "percent", or "list",
            which writes `names[value - minimum]`.
    """

    _esm = _module("slider")
    value = traitlets.Float(0.0).tag(sync=True)
    minimum = traitlets.Float(0.0).tag(sync=True)
    maximum = traitlets.Float(1.0).tag(sync=True)
    step = traitlets.Float(1.0).tag(sync=True)
    form = traitlets.Enum(["integer", "decimal", "percent", "list"], "integer").tag(sync=True)
    names = traitlets.List(traitlets.Unicode()).tag(sync=True)


class TextInput(Control):
    """One line of text (class "snpkit-text"), sent on Enter, on leaving, and after a short pause.

    Attributes:
        suggestions: offered while typing.
        invalid: the text was refused (aria-invalid), for the reason that `problem` gives.
        live: False = only on Enter and on leaving.
        number: a field for whole numbers; `value` stays text.
    """

    _esm = _module("text")
    value = traitlets.Unicode().tag(sync=True)
    placeholder = traitlets.Unicode().tag(sync=True)
    suggestions = traitlets.List(traitlets.Unicode()).tag(sync=True)
    invalid = traitlets.Bool(False).tag(sync=True)
    problem = traitlets.Unicode().tag(sync=True)
    live = traitlets.Bool(True).tag(sync=True)
    number = traitlets.Bool(False).tag(sync=True)


class Select(Control):
    """Choose one of several (class "snpkit-select").

    Attributes:
        options: [value, what is shown] or [value, what is shown, group], all texts.
        value: the chosen option's value.
    """

    _esm = _module("select")
    value = traitlets.Unicode().tag(sync=True)
    options = traitlets.List(traitlets.List(traitlets.Unicode())).tag(sync=True)


class Toggle(Control):
    """On or off (class "snpkit-toggle", role switch)."""

    _esm = _module("toggle")
    value = traitlets.Bool(False).tag(sync=True)


class Button(Control):
    """Do something (class "snpkit-button"); `primary` is the one that stands out."""

    _esm = _module("button")
    primary = traitlets.Bool(False).tag(sync=True)

    def __init__(self, action: Callable[[], object] | None = None, **options: Any) -> None:
        super().__init__(**options)
        self._action = action
        self.on_msg(self._received)

    def click(self) -> None:
        """Do what a click does."""
        if self._action is not None and not self.disabled:
            self._action()

    def _received(self, _: Any, content: Any, __: Any) -> None:
        if content == {"event": "click"}:
            self.click()


class Download(Button):
    """A button that hands a file to the browser (class "snpkit-download").

    The file is made when it is asked for: `action` gives (name, MIME type, bytes), or None when
    there is nothing to give. Kept in `last`, so that code without a browser can look at it.
    """

    _esm = _module("download")
    last: tuple[str, str, bytes] | None = None

    def click(self) -> None:
        """Make the file and send it to the browser."""
        made = self._action() if self._action is not None and not self.disabled else None
        if made is not None:
            self.last = made
            name, mime, content = made
            self.send({"event": "file", "name": name, "type": mime}, [content])


class TokenStrip(Control):
    """Words in a row (class "snpkit-strip"): tint, bar and number say how much each matters.

    One tab stop; arrow keys, Home and End move; Enter or the space bar selects. The word that the
    mouse or the focus is on shows its `detail` below the strip.

    Attributes:
        tokens: per word a dict with "text" and, as wanted: "bars": [{"value": 0..1, "text": the
            number}] one per series, the first one tints; "detail": [str] lines; "look": "masked",
            "replaced", "kept" or "out"; "said": what a screen reader says instead of the text.
        series: name of each bar, for the key above; none, no key.
        selected: places of the selected words.
        selectable: False = words to look at only, no tab stop.
        several: False = selecting one word unselects the others.
    """

    _esm = _module("strip")
    tokens = traitlets.List(traitlets.Dict()).tag(sync=True)
    series = traitlets.List(traitlets.Unicode()).tag(sync=True)
    selected = traitlets.List(traitlets.Int()).tag(sync=True)
    selectable = traitlets.Bool(True).tag(sync=True)
    several = traitlets.Bool(True).tag(sync=True)


class Picture(Control):
    """A picture with alt text (class "snpkit-picture"); `label` is its caption, below.

    Attributes:
        source: a data: URL of an image; nothing is shown for anything else.
        alt: what is seen.
        width: in pixels at most; 0 = as wide as there is room.
    """

    _esm = _module("picture")
    source = traitlets.Unicode().tag(sync=True)
    alt = traitlets.Unicode().tag(sync=True)
    width = traitlets.Int(0).tag(sync=True)


class Note(Control):
    """Text (class "snpkit-note"): `label` in the look of `kind`.

    Attributes:
        kind: "title", "heading", "text", "quiet" or "figure" (a number to look at).
        live: changes are read out (aria-live).
    """

    _esm = _module("note")
    kind = traitlets.Enum(["title", "heading", "text", "quiet", "figure"], "text").tag(sync=True)
    live = traitlets.Bool(False).tag(sync=True)


class Status(Control):
    """The status line (class "snpkit-status"): read out politely when it changes.

    Attributes:
        text: one sentence; "" = nothing to say.
        wrong: something was refused.
    """

    _esm = _module("status")
    text = traitlets.Unicode().tag(sync=True)
    wrong = traitlets.Bool(False).tag(sync=True)
