"""The paper's image recipes in small: whole pictures from files to a searched checkpoint."""

import numpy as np
import pytest
import torch
from PIL import Image

import snpkit
from snpkit.data.samples import Manifest, VideoText
from snpkit.evaluation.search import encode_folder
from snpkit.training.history import read_history
from snpkit.training.loop import pretrain
from snpkit.training.recipe import get_recipe, override
from snpkit.training.setup import make_dataset, prepare

SMALL = {
    "data.size": 32, "data.batch_size": 4, "data.tokenizer": "own", "data.vocabulary_size": 100,
    "data.workers": 0, "model.vision": "patch", "model.patch_size": 8, "model.hidden_size": 16,
    "model.num_hidden_layers": 1, "model.num_attention_heads": 2, "model.intermediate_size": 32,
    "optimisation.total_steps": 2, "optimisation.warmup_steps": 1, "evaluation.log_every": 1,
    "evaluation.every": 2, "evaluation.checkpoint_every": 2, "optimisation.precision": "fp32",
}
CAPTIONS = ["a red kite falls", "the blue boat slides", "two green trees stand", "a dog runs",
            "the small house burns", "a yellow ball spins"]


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    folder, rows = tmp_path_factory.mktemp("pictures"), []
    for number in range(9):
        split = "train" if number < 6 else "validation"
        width, height = (40 + 8 * number, 48) if number % 2 else (48, 40 + 8 * number)
        pixels = np.random.default_rng(number).integers(0, 256, (height, width, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
        rows.append(VideoText(str(number), f"{number}.png", CAPTIONS[number % 6], split, "image"))
    return Manifest(folder, rows)


@pytest.fixture(scope="module")
def recipe():
    return override(get_recipe("coco_vg_resnet"), SMALL)


def test_batches_bring_the_masks_to_the_model(manifest, recipe):
    setup = prepare(recipe, manifest, progress=False)
    batch, _ = next(iter(setup.batches))
    mask = batch["pixel_mask"]
    assert mask.shape == (4, 1, 1, 32, 32) and mask.dtype == torch.bool
    assert mask.any(-1).any(-1).all() and not mask.all()
    longest = torch.maximum(mask.any(-1).sum(-1), mask.any(-2).sum(-1)).flatten()
    assert (longest >= 16).all() and longest.unique().numel() > 1  # the scale is drawn
    model = setup.model.eval()
    hidden = ~mask[:, :, :, None].expand_as(batch["pixel_values"])
    torch.manual_seed(0)
    expected = model(batch).loss
    noise = torch.randint_like(batch["pixel_values"], 256)
    changed = torch.where(hidden, noise, batch["pixel_values"])
    torch.manual_seed(0)
    assert torch.equal(model({**batch, "pixel_values": changed}).loss, expected)
    torch.manual_seed(0)
    assert not torch.equal(model({**batch, "pixel_mask": torch.ones_like(mask)}).loss, expected)


def test_two_steps_then_evaluation_and_search(manifest, recipe, tmp_path):
    setup = prepare(recipe, manifest, progress=False)
    before = {name: value.clone() for name, value in setup.model.state_dict().items()}
    result = pretrain(setup.model, setup.batches, recipe, output=tmp_path, table=setup.table,
                      tokenizer=setup.tokenizer, device="cpu", progress=False,
                      evaluate=setup.evaluation)
    assert result.step == 2 and "matching.text_to_video.r10" in result.best
    losses = [line["loss"] for line in read_history(tmp_path) if "loss" in line]
    assert len(losses) == 2 and np.isfinite(losses).all()
    changed = [not torch.equal(before[n], v) for n, v in setup.model.state_dict().items()]
    assert sum(changed) > len(changed) / 2

    pipeline = snpkit.load(tmp_path / "last", device="cpu")
    assert pipeline.model.config.image_fit == "long"
    frames, mask = pipeline.read(manifest.root / "8.png")
    held_out = make_dataset(recipe, manifest.split("validation"), training=False)
    assert torch.equal(frames, held_out[2]["frames"])
    assert torch.equal(mask, held_out[2]["pixel_mask"])
    with torch.no_grad():
        expected = pipeline.model.encode_video(frames[None], mask[None]).clip_features
    index = encode_folder(pipeline.model, manifest.root, batch_size=4)
    place = index.names.index("8.png")
    torch.testing.assert_close(index.videos.clip_features[place], expected[0])
