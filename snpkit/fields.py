"""Settings that a person writes, as pydantic models; and the sentence that says what is wrong."""

import difflib
import re
import reprlib
from collections.abc import Iterable, Iterator
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

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
