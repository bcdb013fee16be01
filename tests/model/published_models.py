"""The published models that are fine-tuned: their weights as training saves them."""

import torch
from torch import Tensor

from snpkit.model.config import SNPConfig
from tests.benchmarks.straightforward import CROSS, TEXT
from tests.model.cases import random_weights

ANSWERS = ("red", "blue", "two", "a dog", "yes")
Weights = dict[str, Tensor]


def fine_tuned(config: SNPConfig, task: str, answers: int = len(ANSWERS)) -> Weights:
    """Random float64 weights of the published model for a task, each shared tensor once.

    Retrieval and multiple choice have a network and a matching head; question answering has in
    place of the latter one linear layer, `clf`.
    """
    weights = {n: v for n, v in random_weights(config).items() if n.startswith("model.")}
    if task == "qa":
        weights = {n: v for n, v in weights.items() if n.startswith("model.module.")}
        generator = torch.Generator().manual_seed(7)
        for name, shape in (("weight", (answers, config.hidden_size)), ("bias", (answers,))):
            weights[f"model.clf.{name}"] = torch.randn(
                shape, generator=generator, dtype=torch.float64
            )
    return weights


def as_saved(weights: Weights, prefix: str = "", moco: bool = False) -> Weights:
    """The same as a state dict: BERT under all its names, constants, perhaps MoCo's copies."""
    text = {n.removeprefix(TEXT): v for n, v in weights.items() if n.startswith(TEXT)}
    saved = weights | {f"{TEXT}module.{n}": v for n, v in text.items()}
    saved |= {f"{CROSS}{n}": v for n, v in text.items() if not n.startswith("pooler")}
    saved[f"{TEXT}embeddings.position_ids"] = torch.arange(20)[None]
    if moco:
        for side in "qk":  # the keys have moved away from the queries
            copies = {f"txt_encoder_{side}.{n}": v + (side == "k") for n, v in text.items()}
            saved |= {f"model.moco_utils.{n}": v for n, v in copies.items()}
        saved["model.moco_utils.img_queue"] = torch.randn(4, 9)
        saved["model.moco_utils.img_queue_ptr"] = torch.zeros(1, dtype=torch.long)
    return {prefix + name: value for name, value in saved.items()}
