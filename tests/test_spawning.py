"""A script that starts fresh processes outside its main guard is told so, at once."""

import subprocess
import sys
from textwrap import indent

import pytest

LINES = {
    "make_loader": """
from snpkit.data.dataset import VideoTextDataset
from snpkit.data.loader import ShuffledBatches, make_loader
from snpkit.data.samples import Manifest, sample_manifest

manifest = sample_manifest()
few = Manifest(manifest.root, manifest.rows[:4])
dataset = VideoTextDataset(few, 1, 1, 16, True)
batches = ShuffledBatches(len(dataset), 4)
print("done", len(list(make_loader(dataset, batches, 1, context="spawn"))))
""",
    "make_loader behind a guard": """
guarded = VideoTextDataset(few, 1, 1, 16, True, guard_seconds=60)
print("done", next(iter(make_loader(guarded, batches, 1)))["index"].shape)
""",
    "Decoding": """
options = {"cache": True, "guard_seconds": 60, "progress": False}
print("done", len(VideoTextDataset(few, 1, 1, 16, True, **options)))
""",
    "Reading in processes of their own": """
from snpkit.data.shards_writing import write_shards

print("done", write_shards(few, "shards", workers=1, progress=False).report.clips)
""",
    "Counting words": """
from snpkit.language.counting import count_captions

print("done", len(list(count_captions(["a red kite", "it falls"], workers=2))))
""",
    "generate_corpus": """
from snpkit.data.synthetic import generate_corpus

counts = {"train": 6, "validation": 1, "test": 1, "size": 32, "seconds": 0.5}
print("done", len(generate_corpus("corpus", workers=2, **counts).rows))
""",
}


def run(folder, lines):
    """What a script prints, line by line."""
    script = folder / "script.py"
    script.write_text("from snpkit.errors import UserError\n" + "".join(lines))
    options = {"cwd": folder, "capture_output": True, "text": True, "timeout": 200}
    done = subprocess.run([sys.executable, script], **options)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().splitlines()


@pytest.mark.timeout(240)
def test_a_missing_guard_is_named(tmp_path):
    tries = [
        f"try:{indent(body, '    ')}except UserError as error:\n    print(error)\n"
        for body in LINES.values()
    ]
    said = run(tmp_path, tries)
    for name, sentence in zip(LINES, said, strict=True):
        assert sentence.startswith(name.removesuffix(" behind a guard"))
        assert 'below `if __name__ == "__main__":`' in sentence and "memory" not in sentence


@pytest.mark.timeout(240)
def test_below_a_guard_all_is_well(tmp_path):
    bodies = (indent(body, "    ") for body in LINES.values())
    said = run(tmp_path, ['if __name__ == "__main__":', *bodies])
    assert [line.split()[0] for line in said] == ["done"] * len(LINES)
