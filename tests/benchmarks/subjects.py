"""What `race` measures: to add a subject, write a function that makes it and name it here."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from snpkit.errors import UserError
from tests.benchmarks.comparison import Subject
from tests.benchmarks.mining import mining_subject
from tests.benchmarks.workload import Workload


@dataclass(frozen=True)
class Options:
    """What a subject may be made from.

    Attributes:
        source: file of captions to mine; None = generated ones.
        workers: processes that mine or decode; None = the subject's own choice.
        work: the step of the model's subjects; its precision is replaced by each of ...
        precisions: ... these.
    """

    source: Path | None = None
    workers: int | None = None
    work: Workload = field(default_factory=Workload)
    precisions: tuple[str, ...] = ("fp32",)


def _mine(options: Options) -> list[Subject]:
    return [mining_subject(options.source, 1 if options.workers is None else options.workers)]


def _model(kind: str) -> Callable[[Options], list[Subject]]:
    def make(options: Options) -> list[Subject]:
        from tests.benchmarks.steps import step_subjects

        return step_subjects(kind, options.work, options.precisions)

    return make


def _decode(options: Options) -> list[Subject]:
    from tests.benchmarks.decoding_subjects import decoding_subjects

    return decoding_subjects(2 if options.workers is None else options.workers)


def _mask(options: Options) -> list[Subject]:
    from tests.benchmarks.small_subjects import masking_subject

    return [masking_subject()]


def _retrieve(options: Options) -> list[Subject]:
    from tests.benchmarks.small_subjects import retrieval_subject

    return [retrieval_subject()]


SUBJECTS: dict[str, Callable[[Options], list[Subject]]] = {
    "step": _model("step"),
    "forward": _model("forward"),
    "decode": _decode,
    "mask": _mask,
    "mine": _mine,
    "retrieve": _retrieve,
}


def get_subjects(name: str, options: Options | None = None) -> list[Subject]:
    """The named subject, ready to be measured; it may come in several kinds.

    Raises:
        UserError: there is no such subject; lists the names.
    """
    if name not in SUBJECTS:
        names = ", ".join(SUBJECTS)
        raise UserError(
            f"There is no benchmark {name!r}; choose one of: all, {names}, scaling."
        )
    return SUBJECTS[name](options or Options())
