"""Damaged annotations, shards and checkpoints: each is read or refused with a sentence.

A sample of 410 files by default; SNPKIT_FUZZ=full makes 2,050.
"""

import os
import shutil

import numpy as np
import pytest

from snpkit.checkpoint import save_checkpoint
from snpkit.data.samples import Manifest, VideoText
from snpkit.data.shards_writing import write_shards
from snpkit.language.significance import SignificanceTable
from snpkit.language.tokenizer import train_tokenizer
from snpkit.model.config import SNPConfig
from snpkit.model.pretraining import SNPForPreTraining
from tests.data.prepare.builders import BUILDERS
from tests.fuzz import running
from tests.fuzz.damage import BINARY, TEXT
from tests.fuzz.running import FULL, run
from tests.video.films import write_film

CAPTIONS = ["a dog runs", "a red kite falls", "two men cook a fish", "ein Käfer 🪁 fliegt"]
SEED = int(os.environ.get("SNPKIT_FUZZ_SEED", 21))


def damaged_folder(source, target, number, skip=()):
    """A copy of a folder with one of its files damaged."""
    random = np.random.default_rng([SEED, number])
    shutil.copytree(source, target)
    files = sorted(p for p in target.rglob("*") if p.is_file() and p.name not in skip)
    path = files[random.integers(len(files))]
    text = path.suffix in (".json", ".jsonl", ".txt", ".csv", ".tsv")
    damage = (TEXT if text else BINARY)[random.integers(len(TEXT if text else BINARY))]
    path.write_bytes(damage(path.read_bytes(), random))
    return target


def check(function, make, count, whole):
    outcome = run(function, make, count, lambda read: isinstance(read, int | str), whole=whole)
    outcome.check(whole.parent / "quarantine.json")
    assert len(outcome.quarantine) > count // 5


def test_damaged_annotations(tmp_path):
    """Of every data set that snpkit reads."""
    names = [build.__name__ for _, build in BUILDERS]
    for name, (_, build) in zip(names, BUILDERS, strict=True):
        (tmp_path / "whole" / name).mkdir(parents=True)
        build(tmp_path / "whole" / name, CAPTIONS)
        assert running.read_annotations(tmp_path / "whole" / name) > 0

    def make(number):
        name = names[number % len(names)]
        return damaged_folder(tmp_path / "whole" / name, tmp_path / f"{number:04d}-{name}", number)

    check(running.read_annotations, make, 1000 if FULL else 200, tmp_path / "whole" / names[0])


@pytest.mark.parametrize("kind", ["manifest", "table", "recipe"])
def test_damaged_files(tmp_path, kind):
    whole = tmp_path / "whole.json"
    if kind == "manifest":
        rows = [VideoText(str(n), f"{n}.mp4", c, "train", end=2.5) for n, c in enumerate(CAPTIONS)]
        Manifest(tmp_path, rows).save(whole)
    elif kind == "table":
        SignificanceTable.mine(CAPTIONS * 3).save(whole)
    else:
        from snpkit.files import write_json
        from snpkit.training.recipe import get_recipe, recipe_to_dict

        write_json(whole, recipe_to_dict(get_recipe("laptop")))
    reader = getattr(running, f"read_{kind}")
    assert reader(whole)

    def make(number):
        random = np.random.default_rng([SEED, number])
        path = tmp_path / f"{number:04d}.json"
        path.write_bytes(TEXT[random.integers(len(TEXT))](whole.read_bytes(), random))
        return path

    check(reader, make, 150 if FULL else 40, whole)


def test_damaged_shards(tmp_path):
    rows = []
    for number in range(3):
        write_film(tmp_path / f"{number}.mp4", 8, 48, 48)
        rows.append(VideoText(str(number), f"{number}.mp4", CAPTIONS[number], "train"))
    whole = tmp_path / "whole"
    write_shards(Manifest(tmp_path, rows), whole, size=32, per_shard=2, workers=1, progress=False)
    assert running.read_shards(whole) == 3

    def make(number):
        return damaged_folder(whole, tmp_path / f"{number:04d}-shards", number)

    check(running.read_shards, make, 200 if FULL else 50, whole)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    tokenizer = train_tokenizer(CAPTIONS * 5, vocab_size=120)
    config = SNPConfig(
        hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        vocab_size=len(tokenizer), image_size=16,
    )  # fmt: skip
    table = SignificanceTable.mine(CAPTIONS * 3)
    options = {"training": {"step": 3}, "tokenizer": tokenizer, "table": table}
    folder = tmp_path_factory.mktemp("checkpoint") / "last"
    return save_checkpoint(folder, SNPForPreTraining(config), **options)


@pytest.mark.parametrize("sealed", [True, False])
def test_damaged_checkpoints(checkpoint, tmp_path, sealed):
    """With checksums all damage is found; without them the parsers have to stand it."""
    whole = shutil.copytree(checkpoint, tmp_path / "whole")
    if not sealed:
        (whole / "checksums.json").unlink()
        (whole / "training.json").unlink()
    assert running.read_checkpoint(whole)

    def make(number):
        return damaged_folder(whole, tmp_path / f"{number:04d}-checkpoint", number)

    check(running.read_checkpoint, make, 200 if FULL else 20, whole)
