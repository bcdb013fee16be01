"""The notebooks of the course as the tests see them."""

import configparser
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import nbformat
from nbformat import NotebookNode

HERE = Path(__file__).parent
FOLDER = HERE.parents[1] / "notebooks"
SANITIZE = HERE / "sanitize.cfg"
PATHS = sorted(FOLDER.glob("[0-9][0-9]_*.ipynb"))
_FOLDED = re.compile(r"<details>.*?```python\n(.*?)```.*?</details>", re.DOTALL)
# What shows an object without saying anything of it.
_BARE = re.compile(r"^\s*(<[\w. ]+ (at ADDRESS|size .*)>|None|)\s*$")


@dataclass(frozen=True)
class Task:
    """An exercise of a notebook: the cell with the open answer and the folded solution below."""

    name: str
    source: str
    solution: str


class Notebook:
    """One notebook, read once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.chapter = path.stem[3:]
        self.content: NotebookNode = nbformat.read(path, as_version=4)

    @cached_property
    def code(self) -> list[NotebookNode]:
        """Its code cells that are not empty."""
        return [c for c in self.content.cells if c.cell_type == "code" and c.source.strip()]

    @cached_property
    def text(self) -> str:
        """All its markdown."""
        return "\n\n".join(c.source for c in self.content.cells if c.cell_type == "markdown")

    def tagged(self, tag: str) -> list[NotebookNode]:
        """Its cells that carry a tag."""
        return [c for c in self.content.cells if tag in c.metadata.get("tags", [])]

    def tasks(self) -> list[Task]:
        """Its exercises; each is a code cell tagged "exercise", then a cell with the solution."""
        found, cells = [], self.content.cells
        for place, cell in enumerate(cells):
            if "exercise" not in cell.metadata.get("tags", []):
                continue
            (name,) = re.findall(r'check\(\s*"([\w.]+)"', cell.source)
            folded = _FOLDED.search(cells[place + 1].source)
            assert folded, f"{self.path.name}: no folded solution follows exercise {name}."
            found.append(Task(name, cell.source, folded.group(1)))
        return found


def is_compared(cell: NotebookNode) -> bool:
    """Whether nbval compares this cell's stored output, and the output says something."""
    tags = set(cell.metadata.get("tags", []))
    if tags & {"nbval-ignore-output", "nbval-skip", "raises-exception"}:
        return False
    if re.search(r"^\s*#\s*NBVAL_(IGNORE_OUTPUT|SKIP)", cell.source, re.MULTILINE):
        return False
    return any(not _BARE.match(sanitized(text)) for text in texts(cell))


def texts(cell: NotebookNode) -> list[str]:
    """What its stored outputs say as text or HTML."""
    found = []
    for output in cell.outputs:
        if output.output_type == "stream":
            found.append(output.text)
        data = output.get("data", {})
        found += [data[kind] for kind in ("text/plain", "text/html", "image/svg+xml")
                  if kind in data]  # fmt: skip
    return found


def sanitized(text: str) -> str:
    """A text without what may vary; a text of nothing else becomes empty."""
    rules = configparser.RawConfigParser()
    rules.read(SANITIZE)
    for name in rules.sections():
        replacement = "" if name == "measured" else rules[name]["replace"]
        text = re.sub(rules[name]["regex"], replacement, text)
    return text
