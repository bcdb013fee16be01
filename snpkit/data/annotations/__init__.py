"""The annotation files of the public data sets, read as rows of `VideoText`.

    rows = open_dataset("data/msrvtt", "train", layout="msrvtt-7k")

One module a family of formats; `layouts` knows which files make which data set, `index` gives
random access to sets of millions of rows, `checks` looks for what is wrong with one.
"""

from snpkit.data.annotations.labels import AnswerLabels
from snpkit.data.annotations.layouts import Layout, detect, layouts_in, open_dataset
from snpkit.data.annotations.records import WrongRow

__all__ = ["AnswerLabels", "Layout", "WrongRow", "detect", "layouts_in", "open_dataset"]
