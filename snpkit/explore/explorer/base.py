"""What all explorers share: state that stays whole, one JSON view, and numbered questions.

An explorer is one widget. Python draws its state as a JSON view, the module in the browser (the
.js files beside this one) shows it and asks for changes. A change is checked and drawn before
anything is kept: a bad value is one sentence, and the last good state stays whole.
"""

import html
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anywidget
import traitlets
from IPython.display import display

from snpkit.errors import UserError
from snpkit.explore.explorer.parts import script, style
from snpkit.files import write_text

View = dict[str, Any]
_REMEMBERED = 100  # states that can be undone
# A saved notebook keeps a page of the state. The live explorer below takes its place; without a
# kernel there is none, and what Jupyter says in its stead ("model not found") is hidden.
_STATIC = """<style>
:has(> * > .snpkit-saved):has(+ * .snpkit-live), :has(> .snpkit-saved):has(+ * .snpkit-live),
:has(> * > .snpkit-saved) + :not(:has(.snpkit-live)) { display: none; }
</style><iframe class="snpkit-saved" title="%s" srcdoc="%s" sandbox="allow-scripts"
style="width: 100%%; height: 46rem; border: 0;"></iframe>"""


class State:
    """A value of an explorer that code and the browser may set.

    Args:
        check: `check(explorer, value)` gives the value to keep, or raises UserError with one
            sentence. It may convert ("3" -> 3) and look at the explorer's other values.
    """

    def __init__(self, check: Callable[[Any, Any], Any]) -> None:
        self.check = check

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, explorer: Any, owner: type | None = None) -> Any:
        return self if explorer is None else explorer.state[self.name]

    def __set__(self, explorer: Any, value: Any) -> None:
        explorer.change(**{self.name: value})


class Explorer(anywidget.AnyWidget):
    """Base of the explorers: a subclass has `State`s, `draw` and `summary`."""

    title = ""  # of the page that a state is saved as
    _esm = script()
    _css = style()
    view = traitlets.Dict().tag(sync=True)

    def __init__(self) -> None:
        super().__init__()
        self.state: dict[str, Any] = {}
        self._past: list[dict[str, Any]] = []
        self._question = 0
        self.on_msg(self._answer)

    def change(self, **values: Any) -> None:
        """Set several values at once; all of them are kept, or none.

        Raises:
            UserError: there is no such value, or it makes no sense; one sentence.
        """
        past = [*self._past, self.state][-_REMEMBERED:] if self.state else []
        self._become(self.state | self._checked(values), past)

    def undo(self) -> None:
        """Go back to the state before the last change, if there was one."""
        if self._past:
            self._become(self._past[-1], self._past[:-1])

    def export(self, path: str | Path) -> None:
        """Write the present state as one HTML file that plays on without a kernel, atomically.

        Raises:
            UserError: the file cannot be written.
        """
        write_text(path, self.to_html())

    def draw(self) -> View:
        """The state as `explorer.js` shows it."""
        raise NotImplementedError

    def settle(self, names: set[str]) -> None:
        """Bring other values along after those of these names have changed."""

    def summary(self) -> str:
        """The state in a few lines of text."""
        raise NotImplementedError

    def to_html(self, *, saved: bool = False) -> str:
        """The state as one self-contained HTML document.

        Args:
            saved: it is shown in a notebook, which could run the explorer again.
        """
        from snpkit.explore.explorer.page import view_page

        return view_page(self.title, self.view | {"saved": saved})

    def _checked(self, values: dict[str, Any]) -> dict[str, Any]:
        checked = {}
        for name, value in values.items():
            state = getattr(type(self), name, None)
            if not isinstance(state, State):
                raise UserError(f"{type(self).__name__} has no {name!r} to set.")
            checked[name] = state.check(self, value)
        return checked

    def _become(self, state: dict[str, Any], past: list[dict[str, Any]]) -> None:
        before, self.state = self.state, dict(state)
        try:
            self.settle({name for name in state if state[name] is not before.get(name)})
            view = self.draw()
        except BaseException:
            self.state = before
            raise
        self._past = past
        self.view = view | {"asked": self._question, "undo": bool(past)}

    def _answer(self, _: Any, question: dict[str, Any], buffers: Any) -> None:
        """A question of the browser: {"id": n} with "set", "undo" or "save"."""
        self._question = question["id"]
        answer: dict[str, Any] = {"id": self._question}
        asked = question.get("set", {})
        try:
            if "save" in question:
                answer["page"] = self.to_html()
            elif question.get("undo"):
                self.undo()
            else:
                self.change(**asked)
        except UserError as error:
            answer |= {"error": str(error), "at": next(iter(asked), "")}
        except Exception as error:  # a fault of ours: the page must not wait for ever
            answer |= {"error": f"This went wrong: {type(error).__name__}: {error}", "at": ""}
            raise
        finally:
            self.send(answer)

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:
        bundle = super()._repr_mimebundle_(**options)
        live = bundle[0] if isinstance(bundle, tuple) else bundle or {}
        return live | {"text/plain": self.summary(), "text/html": self._saved()}

    def _ipython_display_(self) -> None:
        bundle = self._repr_mimebundle_()
        saved = {kind: bundle.pop(kind) for kind in ("text/html", "text/plain")}
        display(saved, raw=True)
        display(bundle, raw=True)

    def _saved(self) -> str:
        return _STATIC % (html.escape(type(self).__name__), html.escape(self.to_html(saved=True)))

    def __repr__(self) -> str:
        return self.summary() if self.state else f"<{type(self).__name__}>"


def whole(value: Any, what: str, least: int, most: int) -> int:
    """A whole number from `least` to `most`.

    Raises:
        UserError: another one, or no whole number.
    """
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not least <= value <= most or value != int(value):
        raise UserError(f"The {what} must be a whole number from {least} to {most}, not {value!r}.")
    return int(value)
