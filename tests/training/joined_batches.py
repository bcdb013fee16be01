"""Small models and a batch cut into parts: what several processes or micro-batches share."""

import torch

from snpkit.model.downstream import SNPForQuestionAnswering, SNPForRetrieval
from snpkit.model.pretraining import SNPForPreTraining
from tests.model.cases import random_batch, small_config

LENGTHS = (6, 11, 4, 5, 9, 7, 12, 8)
CASES = {
    "pretraining": {},
    "everything": {"itm": True, "logit_scale": 4.0, "lvwm_stage": "both", "negatives": 2,
                   "architecture": "three_fusion"},
    "moco": {"negative_source": "moco", "moco_momentum": 0.7, "text_mlm": "unmasked",
             "moco_queue": 40},
    "no pairs": {"tasks": ["text_mlm", "cross_mlm", "lvwm"], "itm": True},
    "twin tower": {"architecture": "twin_tower", "tasks": ["text_mlm", "gvtm_text_video"]},
    "retrieval": {"logit_scale": True, "negatives": 3},
    "qa": {},
}  # fmt: skip


def make_model(name, dtype=torch.float64, **changes):
    """In training, as the losses of several processes are joined in training only."""
    torch.manual_seed(5)
    config = small_config(**CASES[name], **changes)
    if name == "qa":
        model = SNPForQuestionAnswering(config, ["red", "blue", "two"])
    else:
        model = {"retrieval": SNPForRetrieval}.get(name, SNPForPreTraining)(config)
    # Away from the beginning, where all scores are nearly 0.
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
        if hasattr(model, "moco"):
            model.moco.start(model.network.bert, model.video)
    return model.to(dtype).train()


def make_batch(name, dtype=torch.float64):
    """Eight rows; the first two have no label, some have no significant word."""
    batch = random_batch(small_config(), LENGTHS, seed=2)
    batch["pixel_values"] = batch["pixel_values"].to(dtype)
    batch["labels"][:2] = -100
    if name == "qa":
        batch["labels"] = torch.tensor([-100, -100, 0, 2, 1, -100, 0, 1])
    return batch


def cut(batch, sizes):
    """Parts of so many rows each, their captions only as wide as their own longest one."""
    parts = []
    for rows in torch.arange(sum(sizes)).split(list(sizes)):
        part = {key: value[rows] for key, value in batch.items()}
        for wide in ("", "mismatched_"):
            tokens = int(part[f"{wide}attention_mask"].sum(1).max())
            for key in (f"{wide}input_ids", f"{wide}attention_mask"):
                part[key] = part[key][:, :tokens]
        tokens = part["input_ids"].shape[1]
        part["masked_input_ids"] = part["masked_input_ids"][:, :tokens]
        if part["labels"].ndim == 2:
            part["labels"] = part["labels"][:, :tokens]
        parts.append(part)
    return parts


def results(model, losses):
    """What two ways to the same end must agree in: losses, gradients, and MoCo's queues."""
    found = {f"loss {name}": value.detach() for name, value in losses.items()}
    found |= {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    return found | {name: b for name, b in model.named_buffers() if "moco" in name}


def alone(name, dtype=torch.float64, **changes):
    """Losses and gradients of one process with the whole batch."""
    model = make_model(name, dtype, **changes)
    torch.manual_seed(0)
    output = model(make_batch(name, dtype))
    output.loss.backward()
    return results(model, output.losses)


def largest_deviation(found, expected):
    """The largest absolute difference; an error where the names differ."""
    assert found.keys() == expected.keys(), found.keys() ^ expected.keys()
    assert all(value.isfinite().all() for value in found.values())
    return max(float((found[name] - expected[name]).abs().max()) for name in expected)
