"""Recipes in YAML: plain values, each with the reason for it in a comment behind it."""

import re
from pathlib import Path
from typing import Any

import yaml

from snpkit.errors import UserError
from snpkit.files import read_text

_MOST_BYTES = 100_000  # ours have some 3,000


class _Loader(yaml.SafeLoader):
    """The safe loader, but without aliases (a few can stand for billions), and each key once."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()
        plain = event.anchor is None and getattr(event, "tag", None) is None
        _require(plain, "anchors, aliases and tags are not read; write the value", event)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            _require(str(key.value) not in seen, f"{key.value!r} is there twice", key)
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


# YAML 1.1 takes 1e-4 for text, as it lacks the dot.
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)


def _require(holds: bool, problem: str, place: yaml.Event | yaml.Node) -> None:
    if not holds:
        raise yaml.MarkedYAMLError(problem=problem, problem_mark=place.start_mark)


def read_yaml(path: str | Path) -> Any:
    """The values of a recipe file; comments that end in a full stop become its `choices`.

    A comment behind a value, with the lines of comment below it, is the reason for that value:
    "data.size: Small enough that a step is all model." Other comments stand by themselves.

    Raises:
        UserError: no such file, too large, not YAML, an alias, or a key twice; names the line.
    """
    text = read_text(path, most_bytes=_MOST_BYTES)
    try:
        values = yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise UserError(f"{path} is no YAML that is read here ({line}{error.problem}).") from error
    except (yaml.YAMLError, ValueError) as error:  # a control character; a date or number of none
        problem = str(error).splitlines()[0]
        raise UserError(f"{path} is no YAML that is read here ({problem}).") from error
    except RecursionError as error:
        raise UserError(f"{path} is nested too deeply to be a recipe.") from error
    return {"choices": _reasons(text)} | values if isinstance(values, dict) else values


_LINE = re.compile(r"(\s*)(?:(\w+):)?[^#]*(?:#\s*(.*\S))?")  # indentation, key, comment


def _reasons(text: str) -> list[str]:
    reasons, section, goes_on = [], "", False
    for line in text.splitlines():
        indent, key, comment = _LINE.match(line).groups()
        if key and not indent:
            section = key
        if key and comment:
            reasons.append(f"{section}.{key}: {comment}" if indent else f"{key}: {comment}")
        elif comment and goes_on:
            reasons[-1] += f" {comment}"
        elif comment:
            reasons.append(comment)
        goes_on = bool(comment)
    return [reason for reason in reasons if reason.endswith(".")]
