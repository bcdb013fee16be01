"""What explorers and explanations ask of a trained model: a `snpkit.Pipeline` has it all.

The pipeline explains by this package, so that this package names what it needs and no more.
"""

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from snpkit.evaluation.search import FolderIndex
    from snpkit.language.significance import SignificanceTable


class TrainedModel(Protocol):
    """Model, tokenizer and table, and videos as the model reads them; see `snpkit.Pipeline`."""

    model: Any
    tokenizer: Any
    table: "SignificanceTable | None"

    def read(self, video: "str | Path") -> "Tensor | tuple[Tensor, Tensor]":
        """The frames of a file."""
        ...

    def frames_of(self, video: "str | Path | Tensor") -> "tuple[Tensor, Tensor | None]":
        """Frames, and the mask of their real pixels."""
        ...

    def index(self, folder: "str | Path", **options: Any) -> "FolderIndex":
        """The videos below a folder, encoded."""
        ...

    def unknown_words(self, text: str) -> list[str]:
        """Words that the model has never met; UserError where it knows none."""
        ...

    def explain(self, caption: str, video: "str | Path | Tensor", **options: Any) -> Any:
        """Which words matter, and where they look: an `explanation.Explanation`."""
        ...
