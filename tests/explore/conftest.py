"""Captions that break careless drawing and careless pages, and a small significance table."""

from html.parser import HTMLParser

import pytest

from snpkit.language.significance import SignificanceTable
from snpkit.language.table_files import WordEntry

NASTY = [
    "<img src=x onerror=alert(1)>",
    "<script>alert('x')</script> & \"quotes\"",
    "costs $5 and $6 or $x_{y}$ and \\$ \\frac{1}{0}",
    "smile 🙂 日本語 عربى e\N{COMBINING ACUTE ACCENT}",
    "null \0 bell \x07 escape \x1b lone \ud83d surrogate",
    "word" * 60,
    "_leading underscore",
    "line\nbreak\ttab",
    "' onmouseover='alert(1)",
    "]]> --> </style></svg></title>",
    "{braces} %s %(x)d {0}",
]


@pytest.fixture(scope="session")
def nasty():
    return list(NASTY)


@pytest.fixture(scope="session")
def entries():
    words = [
        ("kite", {"NOUN": 900}), ("red", {"ADJ": 640, "NOUN": 210}), ("falls", {"VERB": 500}),
        ("beach", {"NOUN": 300}), ("spin", {"VERB": 120, "NOUN": 80}), ("tiny", {"ADJ": 90}),
        *((f"word{i}", {"NOUN": 60 - i}) for i in range(30)),
    ]  # fmt: skip
    return [
        WordEntry(word, rank, sum(parts.values()), parts)
        for rank, (word, parts) in enumerate(words)
    ]


@pytest.fixture(scope="session")
def table(entries):
    return SignificanceTable({entry.word: entry for entry in entries}, top_k=20)


class Page(HTMLParser):
    """What a browser would make of a page: elements, attributes, text; void tags need no end."""

    VOID = frozenset({"img", "meta", "br", "hr"})

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.elements, self.open, self.text, self.unbalanced = [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.unbalanced.append(tag)

    def handle_data(self, data):
        if self.open and self.open[-1] in ("script", "style"):
            return
        self.text.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def words(self):
        return " ".join("".join(self.text).split())


@pytest.fixture(scope="session")
def parse():
    """Parse HTML and prove that nothing in it can run or load anything but what the page is made
    of: a module whose hash its policy names, and data that no browser runs."""

    def parse_safely(text):
        page = Page(text)
        assert not page.unbalanced, page.unbalanced
        assert not page.open, page.open
        for name, attributes in page.elements:
            if name == "script":
                data = {"id": "view", "type": "application/json"}
                assert attributes in ({"type": "module"}, data)
            assert name not in { "iframe", "object", "embed", "link", "base", "form"}
            for key, value in attributes.items():
                assert not key.lower().startswith("on"), (name, key, value)
                if key in {"src", "href", "xlink:href"}:
                    assert value.startswith(("data:image/", "#")), (name, value[:60])
                if key == "style":
                    assert "url(" not in value, value
        return page

    return parse_safely
