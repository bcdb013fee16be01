"""A real model on real clips, from a folder and from shards: killed, it continues bit for bit."""

from dataclasses import dataclass

import pytest

from snpkit.data.samples import Manifest
from snpkit.data.shards import open_shards
from snpkit.data.shards_order import ShardBatches
from snpkit.data.shards_writing import write_shards
from snpkit.data.synthetic import generate_corpus
from snpkit.training.loop import pretrain
from snpkit.training.recipe import get_recipe, override
from snpkit.training.setup import prepare
from tests.training.training_toys import same_weights

CLIPS = 14
RECIPE = override(
    get_recipe("laptop"),
    {
        "data.batch_size": 4, "data.size": 32, "data.clips": 1, "data.frames": 2,
        "data.cache": False, "data.workers": 2, "data.guard_seconds": 60,
        "model.num_hidden_layers": 1, "model.hidden_size": 32, "model.intermediate_size": 32,
        "model.num_attention_heads": 2, "model.hidden_dropout_prob": 0.1,
        "optimisation.precision": "fp32", "optimisation.total_steps": 7,
        "optimisation.warmup_steps": 2, "evaluation.checkpoint_every": 2,
    },
)  # fmt: skip


@pytest.fixture(scope="module")
def sources(tmp_path_factory) -> dict[str, Manifest]:
    folder = tmp_path_factory.mktemp("data")
    counts = {"train": CLIPS, "validation": 1, "test": 1, "size": 32, "seconds": 0.5}
    manifest = generate_corpus(folder / "corpus", workers=1, progress=False, **counts)
    train = manifest.split("train")
    write_shards(train, folder / "shards", size=32, per_shard=3, workers=1, progress=False)
    return {"folder": train, "shards": open_shards(folder / "shards")}


class Killed(BaseException):
    """Stands for a kill: nothing may be saved on its way out."""


@dataclass
class Cut:
    """Batches of a run that is killed when it asks for the one numbered `after`."""

    batches: object
    after: int

    def __len__(self):
        return len(self.batches)

    def __iter__(self):
        for number, batch in enumerate(self.batches):
            if number == self.after:
                raise Killed
            yield batch

    def state_dict(self):
        return self.batches.state_dict()

    def load_state_dict(self, state):
        self.batches.load_state_dict(state)


def run(manifest, output, after=None, **options):
    setup = prepare(RECIPE, manifest, held_out=None, progress=False)
    batches = setup.batches if after is None else Cut(setup.batches, after)
    fixed = {"progress": False, "device": "cpu", "output": output}
    result = pretrain(setup.model, batches, RECIPE, **fixed, **options)
    assert result.step == 7
    return setup


@pytest.mark.parametrize("kind", ["folder", "shards"])
def test_a_killed_run_continues_bit_for_bit(sources, kind, tmp_path):
    whole = run(sources[kind], tmp_path / "whole")
    if kind == "shards":
        assert isinstance(whole.batches.loader.batches, ShardBatches)
    assert whole.batches.dataset.guard
    # Three batches are an epoch: the first kill falls into the second one, readers are ahead.
    for after, options in ((5, {}), (1, {"resume": True})):
        with pytest.raises(Killed):
            run(sources[kind], tmp_path / "cut", after, **options)
    resumed = run(sources[kind], tmp_path / "cut", resume=True)
    assert same_weights(whole.model, resumed.model)
    assert whole.batches.state_dict() == resumed.batches.state_dict()
