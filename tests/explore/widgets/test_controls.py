"""The controls: what they carry, and that their files can only ever write text."""

import re

import pytest

import snpkit.explore.widgets
from snpkit.explore.widgets import controls
from snpkit.explore.widgets.controls import Button, Control, Download, Slider, TokenStrip

FILES = sorted(controls._STATIC.glob("*"))
KINDS = [
    kind for kind in vars(controls).values()
    if isinstance(kind, type) and issubclass(kind, Control) and kind is not Control
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_every_control_can_be_made_and_carries_module_style_and_label(kind):
    control = kind(label="A label")
    assert "export default" in control._esm
    assert ".snpkit-control" in control._css
    assert control.get_state()["label"] == "A label"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_file_makes_html_of_text_or_asks_the_network(path):
    text = path.read_text(encoding="utf-8")
    for forbidden in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(",
                      "new Function", "http:", "https:", "@import", "url(", "fetch("):  # fmt: skip
        assert forbidden not in text, forbidden


def test_the_style_sheet_names_no_colour_of_text_outside_its_variables():
    css = (controls._STATIC / "controls.css").read_text(encoding="utf-8")
    assert not re.search(r"(?<!-)color:\s*#", css)


def test_a_button_does_what_it_is_for_by_code_and_by_message():
    pressed = []
    button = Button(lambda: pressed.append(1), label="Go")
    button.click()
    button._received(button, {"event": "click"}, [])
    button._received(button, {"event": "else"}, [])
    assert len(pressed) == 2
    button.disabled = True
    button.click()
    assert len(pressed) == 2


def test_a_download_keeps_and_sends_the_file_it_made():
    sent = []
    download = Download(lambda: ("a.csv", "text/csv", b"word\n"), label="Save")
    download.send = lambda content, buffers=None: sent.append((content, buffers))
    download._received(download, {"event": "click"}, [])
    assert download.last == ("a.csv", "text/csv", b"word\n")
    assert sent == [({"event": "file", "name": "a.csv", "type": "text/csv"}, [b"word\n"])]


def test_a_download_without_a_file_sends_nothing():
    download = Download(lambda: None, label="Save")
    download.send = lambda *_: pytest.fail("nothing was made")
    download.click()
    assert download.last is None


def test_values_of_the_wrong_kind_are_refused():
    with pytest.raises(Exception, match="form"):
        Slider(form="roman")
    with pytest.raises(Exception, match="selected"):
        TokenStrip(selected=["first"])


def test_the_package_names_its_explorers_lazily():
    assert "SignificanceExplorer" in dir(snpkit.explore.widgets)
    with pytest.raises(AttributeError, match="Nothing"):
        snpkit.explore.widgets.Nothing  # noqa: B018
