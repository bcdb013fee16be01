"""Captions: entities decoded once; empty is what shows nothing and what gives no token."""

import html

import pytest

from snpkit.text import clean_caption, is_empty


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Tom &amp; Jerry run &quot;fast&quot;", 'Tom & Jerry run "fast"'),
        (" a dog&#39;s caf&eacute;&nbsp;", "a dog's café"),
        ("&lt;b&gt; &#x1F436; &rarr;", "<b> \N{DOG FACE} →"),
        ("Tom &amp Jerry", "Tom & Jerry"),
        ("&#0; &#27;", "\ufffd"),
        # Once only, and nothing but entities.
        ("&amp;amp; &amp;lt;", "&amp; &lt;"),
        ("R&D; AT&T & black&region&copy", "R&D; AT&T & black&region&copy"),
        ("&nosuch; &;  &#; & #39;", "&nosuch; &;  &#; & #39;"),
    ],
)
def test_entities_are_decoded_once(text, expected):
    assert clean_caption(text) == expected


def test_what_the_standard_library_escapes_comes_back():
    text = '"A dog\'s" <café> & 2 > 1'
    assert clean_caption(html.escape(text)) == text


@pytest.mark.parametrize(
    "text", ["", " \n\t", "\u200b\ufeff", "\u3000\xa0", "\u3164\u2800", "\u0301", "\x00\ufffd"]
)
def test_what_shows_nothing_is_empty(text):
    assert is_empty(text)
    assert not is_empty(f"{text}a")


@pytest.mark.parametrize("text", ["a", "7", "?", "犬", "\N{DOG FACE}", "e\u0301", "\u200bdog"])
def test_what_shows_something_is_not_empty(text):
    assert not is_empty(text)


def test_whatever_gives_no_token_is_empty():
    """Every character of Unicode beside BERT's own clean-up of texts."""
    from tokenizers.normalizers import BertNormalizer

    clean = BertNormalizer(lowercase=True).normalize_str
    characters = (chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000)
    visible = [character for character in characters if not is_empty(character)]
    assert len(visible) > 100_000
    assert [character for character in visible if not clean(character).strip()] == []
