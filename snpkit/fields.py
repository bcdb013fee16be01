"""Settings that a person writes: YAML, pydantic models, and one sentence where they are wrong."""

import difflib
import re
import reprlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from snpkit.errors import UserError
from snpkit.files import read_text

# Bounds are beyond any real run, and below what a machine hangs on.
Whole = Annotated[int, Field(ge=0, le=10**12)]
Count = Annotated[int, Field(ge=1, le=10**12)]
NotNegative = Annotated[float, Field(ge=0, le=1e12)]
Positive = Annotated[float, Field(gt=0, le=1e12)]
Share = Annotated[float, Field(ge=0, le=1)]
Beta = Annotated[float, Field(ge=0, lt=1)]
LOOSE = Field(strict=False)  # a list of JSON or YAML becomes a tuple


class Section(BaseModel):
    """Fields of fixed names and types: "3" is no number, True none either, and 1 may be a float."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    @model_validator(mode="after")
    def _follow_rules(self) -> Self:
        for holds, sentence in self._rules():
            if not holds:
                raise ValueError(sentence)
        return self

    def _rules(self) -> Iterator[tuple[bool, str]]:
        """What must hold between fields, and the sentence where it does not."""
        yield from ()


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A question that names the nearest field, if possible of the same section; "" = none is."""
    section, _, last = name.rpartition(".")
    in_order = sorted(known, key=lambda field: field.rpartition(".")[0] == section)
    by_last = {field.rpartition(".")[2]: field for field in in_order}
    close = difflib.get_close_matches(last, by_last, n=1)
    return f" (did you mean {by_last[close[0]]!r}?)" if close else ""


_ADVICE = {
    "int_type": "use a whole number", "float_type": "use a number", "string_type": "use text",
    "bool_type": "use true or false", "tuple_type": "use a list",
    "dict_type": "use named fields", "model_type": "use named fields",
}  # fmt: skip


def sentence_of(error: ValidationError, known: Iterable[str], whole: str) -> str:
    """What is wrong first: field, value, and what is allowed; without a full stop.

    Args:
        known: names of fields, the nearest of which is named.
        whole: what the error's object is called, such as "the recipe".
    """
    first = error.errors(include_url=False)[0]
    where = ".".join(map(str, first["loc"]))
    match first["type"]:
        case "extra_forbidden":
            return f"{reprlib.repr(where)} is no field{did_you_mean(where, known)}"
        case "missing":
            return f"{where} is missing"
        case "value_error":
            return str(first["ctx"]["error"])
    advice = _ADVICE.get(first["type"], re.sub(r"^\w+ should", "it should", first["msg"]))
    return f"{where or whole} is {reprlib.repr(first['input'])}; {advice}"


_MOST_BYTES = 100_000  # recipes have some 3,000


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


def read_yaml(path: str | Path) -> tuple[Any, str]:
    """The values of a YAML file, and its text.

    Raises:
        UserError: no such file, too large, not YAML, an alias, or a key twice; names the line.
    """
    text = read_text(path, most_bytes=_MOST_BYTES)
    try:
        return yaml.load(text, Loader=_Loader), text
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise UserError(f"{path} is no YAML that is read here ({line}{error.problem}).") from error
    except (yaml.YAMLError, ValueError) as error:  # a control character; a date or number of none
        problem = str(error).splitlines()[0]
        raise UserError(f"{path} is no YAML that is read here ({problem}).") from error
    except RecursionError as error:
        raise UserError(f"{path} is nested too deeply to be read.") from error
