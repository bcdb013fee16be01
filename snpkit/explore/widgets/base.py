"""The ground of all explorers: state that stays sound, a status line, a picture without a kernel.

An explorer keeps its state in public traits (`State`). Whoever sets one, a hand in the browser or a
line of code, goes the same way: the value is checked, a bad one is answered by a sentence in the
status line and the old one stays, a good one is kept and redrawn.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import ipywidgets
import traitlets

from snpkit.errors import UserError
from snpkit.explore.page import Html
from snpkit.explore.widgets.controls import Status


class State(traitlets.TraitType):
    """A trait of an explorer whose bad values are answered in the status line.

    Args:
        default: its first value.
        check: `check(explorer, value)` gives the value to keep, or raises UserError with one
            sentence. It may convert ("3" -> 3) and may look at the explorer's other traits.
    """

    def __init__(
        self, default: Any, check: Callable[[Any, Any], Any] | None = None, **options: Any
    ) -> None:
        super().__init__(default_value=default, allow_none=True, **options)
        self.check = check

    def _validate(self, obj: Any, value: Any) -> Any:
        if self.check is None or not getattr(obj, "_checked", False):
            return value
        try:
            value = self.check(obj, value)
        except UserError as error:
            if not obj._ready:
                raise  # at the start there is no old state to stay with
            obj.say(str(error), wrong=True)
            return getattr(obj, self.name)
        if obj._ready:
            obj.say("")
        return value


class Explorer(ipywidgets.VBox):
    """Base of the explorers: fill `children`, give `picture` and `summary`.

    A subclass calls `super().__init__()`, sets its traits (from then on they are checked; a bad
    value raises UserError), builds its controls, and ends with `self.show(*controls)`. From then on
    bad values are answered in the status line, and `redraw(names)` is called with the names of the
    `State` traits that changed.
    """

    _ready = False  # True once `show` has run: bad values no longer raise
    _checked = False  # True once the traits may be checked

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._waiting: set[str] = set()
        self._holding = 0
        self.status = Status()
        self.add_class("snpkit-explorer")
        self._checked = True

    def show(self, *controls: ipywidgets.Widget) -> None:
        """Put the controls in place, with the status line last, and begin to follow the traits."""
        self.children = (*controls, self.status)
        self._ready = True
        states = [name for name, trait in self.traits().items() if isinstance(trait, State)]
        self.observe(self._changed, names=states)

    def say(self, sentence: str, *, wrong: bool = False) -> None:
        """Write into the status line, which screen readers read out; "" clears it.

        Args:
            wrong: something was refused; shown with a mark, not by colour alone.
        """
        self.status.wrong = wrong
        self.status.text = sentence

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Say a UserError in the status line instead of raising it."""
        try:
            yield
        except UserError as error:
            self.say(str(error), wrong=True)

    @contextmanager
    def together(self) -> Iterator[None]:
        """Set several traits and redraw once, at the end.

        with explorer.together():
            explorer.caption, explorer.clip = "a red kite falls", "generated/test-000001.mp4"
        """
        self._holding += 1
        try:
            yield
        finally:
            self._holding -= 1
            if not self._holding:
                self._flush()

    def redraw(self, names: set[str]) -> None:
        """Bring the controls up to date after the traits of these names have changed."""
        raise NotImplementedError

    def picture(self) -> Html:
        """The present state as plain HTML that needs no style sheet, script or kernel."""
        raise NotImplementedError

    def summary(self) -> str:
        """The present state in a few lines of text."""
        raise NotImplementedError

    def _changed(self, change: Any) -> None:
        self._waiting.add(change["name"])
        if not self._holding:
            self._flush()

    def _flush(self) -> None:
        names, self._waiting = self._waiting, set()
        if names:
            with self.guard():
                self.redraw(names)

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:
        bundle = super()._repr_mimebundle_(**options) or {}
        with self.guard():
            bundle |= {"text/plain": self.summary(), "text/html": str(self.picture())}
        return bundle

    def __repr__(self) -> str:
        # Not the widget's own, which lists every child.
        return f"<{type(self).__name__}>" if not self._ready else self.summary()


def link(
    control: ipywidgets.Widget,
    explorer: Explorer,
    name: str,
    *,
    trait: str = "value",
    convert: Callable[[Any], Any] = lambda value: value,
    back: Callable[[Any], Any] = lambda value: value,
) -> None:
    """A control sets the explorer's trait `name`, and follows it when code sets it.

    A value that the explorer refuses stays in the control, marked as invalid where the control can
    be, so that what was typed can be mended.

    Args:
        trait: the control's trait.
        convert: control's value -> explorer's; back: explorer's -> control's.
    """
    state = {"asked": False}

    def ask(change: Any) -> None:
        if state["asked"]:
            return
        state["asked"] = True
        try:
            setattr(explorer, name, convert(change["new"]))
        finally:
            state["asked"] = False
        mark(control, explorer)

    def follow(change: Any) -> None:
        if not state["asked"]:
            state["asked"] = True
            try:
                setattr(control, trait, back(change["new"]))
            finally:
                state["asked"] = False
            if control.has_trait("invalid"):
                control.invalid = False

    setattr(control, trait, back(getattr(explorer, name)))
    control.observe(ask, trait)
    explorer.observe(follow, name)


def mark(control: ipywidgets.Widget, explorer: Explorer) -> None:
    """Mark a field as invalid if what it asked for was just refused, and say why beside it."""
    if control.has_trait("invalid"):
        control.problem = explorer.status.text if explorer.status.wrong else ""
        control.invalid = explorer.status.wrong
