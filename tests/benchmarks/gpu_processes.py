"""Of the check of a GPU: its tiny recipes, its batch of noise, and two processes against one."""

import os
import socket
from pathlib import Path

import torch
import torch.multiprocessing as processes

from snpkit.model.pretraining import SNPForPreTraining
from snpkit.training import distributed
from snpkit.training.estimate import example_batch, model_config
from snpkit.training.loop import new_run, train_step
from snpkit.training.recipe import get_recipe, override

STILL = {"model.hidden_dropout_prob": 0.0, "model.attention_probs_dropout_prob": 0.0}
TINY = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 64}  # fmt: skip
TINY_RUN = STILL | {f"model.{name}": value for name, value in TINY.items()} | {
    "data.batch_size": 8, "data.size": 32, "data.vocabulary_size": 300,
    "optimisation.total_steps": 4, "optimisation.warmup_steps": 1, "evaluation.every": 2,
    "evaluation.log_every": 1,
}  # fmt: skip


def random_batch(config, recipe):
    """The same noise and words every time, as it comes from the loader."""
    batch = example_batch(config, recipe.data.batch_size, recipe.data.max_tokens)
    torch.manual_seed(1)
    batch["pixel_values"].random_(0, 256)
    batch["input_ids"].random_(5, config.vocab_size)
    batch["masked_input_ids"] = batch["input_ids"].clone()
    batch["labels"] = batch["input_ids"].where(batch["labels"] != -100, -100)
    return batch


def shared_step(rank, world, port, kind, file):
    """One step of a batch of 8, of which each of `world` processes has its share."""
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "RANK": str(rank),
                   "LOCAL_RANK": str(rank), "WORLD_SIZE": str(world)}  # fmt: skip
    device = torch.device(kind, rank) if kind == "cuda" else torch.device("cpu")
    distributed.init_if_needed(device)
    # Grid features: batch norms of a patch encoder would see their own rows alone on a CPU.
    recipe = override(get_recipe("laptop"), TINY_RUN | {
        "model.negatives": "all", "optimisation.precision": "fp32",
    })  # fmt: skip
    recipe = recipe.model_copy(update={"model": recipe.model | {"vision": "features"}})
    torch.manual_seed(2)
    config = model_config(recipe)
    run = new_run(SNPForPreTraining(config), [None], recipe, Path(), device)
    run.parallel = distributed.parallelise(run.model, device)
    batch = random_batch(config, recipe)
    own = slice(rank * 8 // world, (rank + 1) * 8 // world)
    batch = {name: each if isinstance(each, int) else each[own] for name, each in batch.items()}
    batch["label_count"] = int((batch["labels"] != -100).sum())
    values = train_step(run, iter([(batch, [])])).values
    if rank == 0:
        torch.save([values[name].cpu() for name in ("loss", "gradient_norm")], file)
    del run
    distributed.shutdown()


def check_two_processes(folder, device):
    """Two processes that share a batch take the step of one."""
    if device.type == "cuda" and torch.cuda.device_count() < 2:
        print("\ntwo processes: skipped, there is one CUDA device")
        return
    ends = []
    for world in (1, 2):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        processes.spawn(shared_step, (world, port, device.type, folder / f"{world}"), nprocs=world)
        ends.append(torch.load(folder / f"{world}", weights_only=True))
    gap = max(float(abs(two / one - 1)) for one, two in zip(*ends, strict=True))
    print(f"\ntwo processes: loss and gradient norm are those of one, but for {gap:.1e}")
    assert gap < 1e-4
