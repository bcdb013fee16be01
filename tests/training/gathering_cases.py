"""Two and four processes train as one does with the joined batch: the models' losses and gradients,
whatever the tasks, and whole runs from files that do not divide evenly and cannot all be read."""

import time
from pathlib import Path

import numpy as np
import pytest
import torch
from distributed_cases import join, launch
from joined_batches import (
    CASES,
    alone,
    cut,
    largest_deviation,
    make_batch,
    make_model,
    results,
)
from PIL import Image
from torch.multiprocessing import ProcessRaisedException
from training_toys import toy_recipe

from snpkit.data.dataset import VideoTextDataset
from snpkit.data.samples import Manifest, VideoText
from snpkit.language.significance import SignificanceTable
from snpkit.language.tokenizer import train_tokenizer
from snpkit.model.config import SNPConfig
from snpkit.model.pretraining import SNPForPreTraining
from snpkit.training import distributed
from snpkit.training.batches import PreTrainingBatches
from snpkit.training.history import read_history
from snpkit.training.loop import pretrain

UNEVEN = {2: (5, 3), 4: (2, 1, 4, 1)}
DTYPES = (torch.float64, torch.float32)


def seed(rank):
    # Only the first process draws what one process would.
    torch.manual_seed(0 if rank == 0 else 99)


def exact_task(rank, world, port, file):
    join(rank, world, port)
    for name in CASES:
        for dtype in DTYPES:
            model = make_model(name, dtype)
            parallel = distributed.parallelise(model, torch.device("cpu"))
            seed(rank)
            output = parallel(cut(make_batch(name, dtype), UNEVEN[world])[rank])
            output.loss.backward()
            torch.save(results(model, output.losses), f"{file}-{name}-{dtype}-{rank}")


@pytest.mark.timeout(240)
@pytest.mark.parametrize("world", [2, 4])
def test_losses_and_gradients_of_every_task_equal_one_process(tmp_path, world):
    launch(exact_task, world, str(tmp_path / "found"))
    worst = {dtype: 0.0 for dtype in DTYPES}
    for name in CASES:
        for dtype in DTYPES:
            expected = alone(name, dtype)
            for rank in range(world):
                found = torch.load(tmp_path / f"found-{name}-{dtype}-{rank}", weights_only=True)
                deviation = largest_deviation(found, expected)
                assert deviation < {torch.float64: 1e-9, torch.float32: 1e-5}[dtype], (name, rank)
                worst[dtype] = max(worst[dtype], deviation)
    print(f"\n{world} processes, largest deviation: {worst}")


def micro_task(rank, world, port, folder):
    join(rank, world, port)
    for name in CASES:
        model = make_model(name)
        model.micro_batch = 2
        parallel = distributed.parallelise(model, torch.device("cpu"))
        seed(rank)
        output = parallel(cut(make_batch(name), (5, 3))[rank])
        output.loss.backward()
        torch.save(results(model, output.losses), f"{folder}/{name}-{rank}")


@pytest.mark.timeout(240)
def test_micro_batches_of_two_processes_equal_one_batch(tmp_path):
    launch(micro_task, 2, str(tmp_path))
    for name in CASES:
        for rank in range(2):
            found = torch.load(tmp_path / f"{name}-{rank}", weights_only=True)
            assert largest_deviation(found, alone(name)) < 1e-7, (name, rank)


VIDEOS = torch.tensor([5, 2**40, 5, 7, -3, 2**40, 5, -9])  # 5 in both shares, 2**40 as well


def same_video_task(rank, world, port, folder):
    join(rank, world, port)
    for name in ("everything", "moco", "retrieval"):
        model = make_model(name)
        parallel = distributed.parallelise(model, torch.device("cpu"))
        seed(rank)
        batch = make_batch(name) | {"video_ids": VIDEOS}
        for _ in range(2):  # MoCo's queue then holds keys of the same videos
            model.zero_grad()
            output = parallel(cut(batch, (5, 3))[rank])
            output.loss.backward()
        torch.save(results(model, output.losses), f"{folder}/{name}-{rank}")


@pytest.mark.timeout(240)
def test_a_video_in_two_processes_is_its_own_negative_in_none(tmp_path):
    launch(same_video_task, 2, str(tmp_path))
    for name in ("everything", "moco", "retrieval"):
        model = make_model(name)
        torch.manual_seed(0)
        for _ in range(2):
            model.zero_grad()
            output = model(make_batch(name) | {"video_ids": VIDEOS})
            output.loss.backward()
        expected = results(model, output.losses)
        for rank in range(2):
            found = torch.load(tmp_path / f"{name}-{rank}", weights_only=True)
            assert largest_deviation(found, expected) < 1e-9, (name, rank)


def draws_task(rank, world, port, file):
    join(rank, world, port)
    # Attention decides now and then about the masks, and words are drawn: all in its own stream.
    config = {"attentive_masking": 0.5, "hidden_dropout_prob": 0.1, "negatives": 1}
    model = make_model("pretraining", **config)
    parallel = distributed.parallelise(model, torch.device("cpu"))
    torch.manual_seed(rank)
    batch = cut(make_batch("pretraining"), UNEVEN[world])[rank]
    del batch["significant_positions"]
    losses = []
    for _ in range(8):
        output = parallel(batch)
        output.loss.backward()
        losses.append(output.loss.detach())
    # In evaluation a process may be the only one: it must not wait for the others.
    if rank == 0:
        model.eval()(batch)
    torch.save([torch.stack(losses), *(p.grad for p in model.parameters())], f"{file}{rank}")


@pytest.mark.timeout(240)
def test_processes_that_draw_compute_the_same(tmp_path):
    launch(draws_task, 2, str(tmp_path / "rank"))
    one, other = (torch.load(tmp_path / f"rank{rank}", weights_only=True) for rank in range(2))
    assert all(torch.equal(*pair) for pair in zip(one, other, strict=True) if pair[0] is not None)


def test_batch_norms_become_one_on_gpus_only():
    model = make_model("pretraining", vision="patch", vision_width=24, image_size=16, patch_heads=2)
    before, names = dict(model.named_parameters()), set(model.state_dict())
    for device, kind in (("cpu", torch.nn.BatchNorm2d), ("cuda", torch.nn.SyncBatchNorm)):
        distributed.share_statistics(model, torch.device(device))
        norms = [m for m in model.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]
        assert norms and all(type(norm) is kind for norm in norms)
    assert dict(model.named_parameters()) == before and set(model.state_dict()) == names


def pictures(folder, damaged):
    """Seventeen pictures with captions; two at a time, over two processes, leave one over."""
    random = np.random.default_rng(0)
    rows = []
    for number in range(17):
        path = folder / f"{number}.png"
        Image.fromarray(random.integers(0, 255, (20, 20, 3), dtype=np.uint8)).save(path)
        if number in damaged:
            path.write_bytes(b"no picture")
        rows.append(VideoText(str(number), path.name, f"a red dog runs {number}", "train", "image"))
    return Manifest(folder, rows)


def files_task(rank, world, port, folder, limit):
    join(rank, world, port)
    manifest = Manifest.load(Path(folder) / "manifest.jsonl")
    captions = [row.caption for row in manifest.rows]
    tokenizer, table = train_tokenizer(captions, 100), SignificanceTable.mine(captions, top_k=9)
    dataset = VideoTextDataset(manifest, 1, 1, 16, True, max_unreadable=limit, progress=False)
    recipe = toy_recipe(data__batch_size=4, optimisation__total_steps=11)
    config = SNPConfig(
        vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=16, max_position_embeddings=20, image_size=16, clips=1, frames=1,
        patch_heads=2, patch_layers=1, cls_token_id=tokenizer.cls_token_id,
        sep_token_id=tokenizer.sep_token_id, mask_token_id=tokenizer.mask_token_id,
    )  # fmt: skip
    torch.manual_seed(rank)
    batches = PreTrainingBatches(dataset, tokenizer, table, recipe)
    result = pretrain(SNPForPreTraining(config), batches, recipe, output=Path(folder) / "run",
                      progress=False, device="cpu")
    assert (result.step, result.skipped) == (11, 0)  # beyond the end of the second epoch
    # Each reads its own share, and both know of all that was unreadable in any.
    reasons = batches.unreadable().reasons
    torch.save([len(dataset.report()), len(reasons)], f"{folder}/rank{rank}")
    assert all(str(reason).count(name) for name, reason in reasons.items())


@pytest.mark.timeout(240)
def test_an_uneven_last_batch_and_unreadable_files_of_one_process_hold_nobody_up(tmp_path):
    pictures(tmp_path, damaged=[3, 5, 9]).save(tmp_path / "manifest.jsonl")
    launch(files_task, 2, str(tmp_path), 0.2)
    found = [torch.load(tmp_path / f"rank{rank}", weights_only=True) for rank in range(2)]
    assert [both[1] for both in found] == [3, 3] and min(own for own, _ in found) < 3
    assert len([line for line in read_history(tmp_path / "run") if "loss" in line]) == 11


@pytest.mark.timeout(240)
def test_a_process_that_fails_ends_the_others(tmp_path):
    pictures(tmp_path, damaged=[3]).save(tmp_path / "manifest.jsonl")
    began = time.monotonic()
    with pytest.raises(ProcessRaisedException, match=r"UserError|Connection closed"):
        launch(files_task, 2, str(tmp_path), 0.0)
    assert time.monotonic() - began < 120
