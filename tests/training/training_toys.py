"""A tiny model and data source with the forms the loop expects: fast, and full of randomness."""

import random

import numpy as np
import torch
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel
from transformers.utils import ModelOutput

from snpkit.training.loop import pretrain
from snpkit.training.recipe import get_recipe, override


class ToyConfig(PretrainedConfig):
    model_type = "snpkit-toy"

    def __init__(self, width=6, **kwargs):
        self.width = width
        super().__init__(**{"tie_word_embeddings": True, **kwargs})


class ToyModel(PreTrainedModel):
    """Batch norm (buffers), dropout (torch's generator), tied weights, an unused parameter."""

    config_class = ToyConfig
    _tied_weights_keys = {"decoder.weight": "encoder.weight"}  # noqa: RUF012 (transformers' form)

    def __init__(self, config):
        super().__init__(config)
        width = config.width
        self.encoder = nn.Linear(width, width)
        self.norm = nn.BatchNorm1d(width)
        self.dropout = nn.Dropout(0.3)
        self.decoder = nn.Linear(width, width, bias=False)
        self.unused = nn.Parameter(torch.ones(width))
        self.post_init()
        self.decoder.weight = self.encoder.weight

    def forward(self, batch):
        hidden = self.dropout(self.norm(self.encoder(batch["x"])))
        losses = {
            "text_mlm": (self.decoder(hidden) - batch["y"]).square().mean(),
            "itm": hidden.abs().mean() * 0.1,
        }
        return ModelOutput(loss=sum(losses.values()), losses=losses)


class ToyBatches:
    """Draws from Python's and numpy's global generators; `poison` names steps with a NaN."""

    def __init__(self, width=6, size=8, poison=(), value=float("nan"), on_step=None):
        self.width, self.size, self.position = width, size, 0
        self.poison, self.value, self.on_step = set(poison), value, on_step

    def __len__(self):
        return 5

    def __iter__(self):
        while True:
            self.position += 1
            if self.on_step:
                self.on_step(self.position)
            x = np.random.standard_normal((self.size, self.width)) + random.gauss(0, 0.1)
            x = torch.tensor(x, dtype=torch.float32)
            y = x.tanh() + 0.1 * np.sin(self.position)
            if self.position in self.poison:
                x[0, 0] = self.value
            yield {"x": x, "y": y}, [f"clip{self.position}.mp4"]

    def state_dict(self):
        return {"position": self.position}

    def load_state_dict(self, state):
        self.position = state["position"]


class ToyTable:
    def save(self, path):
        path.write_text('{"words": []}')


def toy_model(width=6, seed=0):
    torch.manual_seed(seed)
    return ToyModel(ToyConfig(width=width))


def toy_recipe(**changes):
    """12 steps; `changes` with "__" for the dot, e.g. optimisation__total_steps=3."""
    values = {
        "optimisation.total_steps": 12,
        "optimisation.warmup_steps": 3,
        "optimisation.learning_rate": 0.01,
        "evaluation.log_every": 2,
        "evaluation.every": 4,
        "evaluation.checkpoint_every": 4,
        "evaluation.monitor": "score",
        "model": {},
    }
    values |= {name.replace("__", "."): value for name, value in changes.items()}
    return override(get_recipe("laptop"), values)


def noisy_evaluation(model, step):
    """Uses up random numbers, as real evaluations may."""
    torch.randn(7), np.random.rand(3), random.random()
    assert not model.training
    return {"score": float(model.encoder.weight.abs().sum()), "nested": {"r1": 1.0}}


def same_weights(one, other):
    """True if two models' parameters and buffers are equal bit for bit."""
    first, second = one.state_dict(), other.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[n], second[n]) for n in first)


def train(folder, model=None, batches=None, recipe=None, **settings):
    """Pre-train the toy model quietly on the CPU; returns it and the result."""
    model = model or toy_model()
    settings = {"evaluate": noisy_evaluation, "progress": False, "device": "cpu"} | settings
    result = pretrain(model, batches or ToyBatches(), recipe or toy_recipe(), output=folder,
                      **settings)
    return model, result
