"""The public data sets' own files: converted into a manifest once, and looked through for traps.

    sets, others = recognise(Path("data/msrvtt"))
    write_manifest(sets[0], Path("data/msrvtt/manifest.jsonl"))

`datasets` knows which files make which data set, `captions`, `questions` and `msvd` turn their
records into rows, `checks` looks for what is wrong.
"""

from snpkit.data.prepare.checks import Finding, Survey, survey
from snpkit.data.prepare.datasets import NAMES, DataSet, recognise
from snpkit.data.prepare.writing import write_manifest

__all__ = ["NAMES", "DataSet", "Finding", "Survey", "recognise", "survey", "write_manifest"]
