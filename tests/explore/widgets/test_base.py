"""The ground of the explorers: checked state, the status line, redrawing, the static picture."""

import pytest

from snpkit.errors import UserError
from snpkit.explore.page import tag
from snpkit.explore.widgets.base import Explorer, State, link
from snpkit.explore.widgets.controls import Slider, TextInput


def number(explorer, value):
    if not isinstance(value, int | str) or not str(value).isdigit():
        raise UserError(f"The size is {value!r}; it must be a whole number.")
    return int(value)


class Counter(Explorer):
    """The smallest explorer: a size, a caption, and what `redraw` was told."""

    size = State(1, number)
    caption = State("")
    quiet = State(0)

    def __init__(self, size=1):
        super().__init__()
        self.size = size
        self.told = []
        self.slider = Slider(label="Size", minimum=0.0, maximum=9.0)
        link(self.slider, self, "size", convert=int)
        self.text = TextInput(label="Size")
        link(self.text, self, "size", back=str)
        self.show(self.slider, self.text)

    def redraw(self, names):
        self.told.append(names)
        if self.caption == "bad":
            raise UserError("This caption cannot be drawn; take another.")

    def picture(self):
        return tag("p", f"size {self.size}, ", self.caption)

    def summary(self):
        return f"size {self.size}"


def test_good_values_are_converted_kept_and_redrawn():
    counter = Counter()
    counter.size = "7"
    assert counter.size == 7
    assert counter.told == [{"size"}]


def test_bad_values_leave_the_old_one_and_are_answered_in_the_status_line():
    counter = Counter(4)
    counter.size = -1
    assert counter.size == 4
    assert counter.told == []
    assert counter.status.text == "The size is -1; it must be a whole number."
    assert counter.status.wrong
    counter.size = 5
    assert (counter.status.text, counter.status.wrong) == ("", False)


def test_bad_values_at_the_start_are_raised_because_there_is_no_old_state():
    with pytest.raises(UserError, match="The size is 'many'"):
        Counter("many")


def test_what_goes_wrong_while_drawing_is_said_and_not_raised():
    counter = Counter()
    counter.caption = "bad"
    assert counter.status.text == "This caption cannot be drawn; take another."


def test_only_errors_of_the_user_are_answered_so_that_others_are_seen():
    counter = Counter()
    with pytest.raises(ZeroDivisionError), counter.guard():
        raise ZeroDivisionError


def test_several_changes_together_are_drawn_once():
    counter = Counter()
    with counter.together():
        counter.size, counter.caption = 3, "a kite"
        assert counter.told == []
    assert counter.told == [{"size", "caption"}]


def test_setting_a_value_again_draws_nothing():
    counter = Counter(3)
    counter.size = 3
    assert counter.told == []


def test_a_control_sets_the_state_and_follows_it():
    counter = Counter(2)
    assert (counter.slider.value, counter.text.value) == (2.0, "2")
    counter.slider.value = 6.0
    assert (counter.size, counter.text.value) == (6, "6")
    counter.size = 8
    assert (counter.slider.value, counter.text.value) == (8.0, "8")


def test_what_was_typed_stays_in_the_field_when_it_is_refused():
    counter = Counter(2)
    counter.text.value = "two"
    assert (counter.text.value, counter.text.invalid, counter.size) == ("two", True, 2)
    assert counter.text.problem == "The size is 'two'; it must be a whole number."
    counter.text.value = "3"
    assert (counter.text.invalid, counter.text.problem, counter.size) == (False, "", 3)
    counter.text.value = "three"
    counter.size = 4
    assert (counter.text.value, counter.text.invalid) == ("4", False)


def test_an_output_holds_widget_picture_and_text(parse):
    counter = Counter(5)
    counter.caption = "<img src=x onerror=alert(1)>"
    bundle = counter._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert bundle["text/plain"] == repr(counter) == "size 5"
    assert parse(bundle["text/html"]).words == "size 5, <img src=x onerror=alert(1)>"


def test_the_status_line_comes_last():
    counter = Counter()
    assert counter.children == (counter.slider, counter.text, counter.status)
