"""A model that knows colours and counts what it reads, and pictures of one colour to read."""

import os
from types import SimpleNamespace

import numpy as np
import torch
from PIL import Image
from torch import nn

from snpkit.evaluation.search import encode_folder

COLOURS = {"red": (220, 30, 30), "green": (30, 200, 30), "blue": (30, 30, 220)}
LONG_AGO = 1_600_000_000


class Config(SimpleNamespace):
    def to_dict(self):
        return dict(vars(self))


class Colours(nn.Module):
    """A video's vectors are its mean colour, times a weight that another model has otherwise."""

    def __init__(self, weight=1.0, **config):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weight))
        defaults = {"clips": 1, "frames": 1, "image_size": 8, "image_fit": "crop"}
        self.config = Config(**(defaults | {"frame_middle": "upper"} | config))
        self.read = 0

    def encode_video(self, pixel_values, pixel_mask=None):
        self.read += len(pixel_values)
        tokens = self.weight * pixel_values.float().mean(dim=(2, 4, 5)) / 255
        return SimpleNamespace(clip_tokens=tokens, clip_features=tokens / 2)


def paint(path, colour, when=None):
    """A picture of one colour; `when`: its time of change, in seconds after LONG_AGO."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((12, 16, 3), colour, dtype=np.uint8)).save(path)
    if when is not None:
        os.utime(path, (LONG_AGO + when, LONG_AGO + when))
    return path


def indexed(folder, kept=None, model=None, **options):
    """The index of a folder, which says what a new one would, and the model that encoded it."""
    model = model or Colours()
    index = encode_folder(model, folder, cache=kept, **options)
    fresh = encode_folder(Colours(model.weight.item(), **vars(model.config)), folder)
    assert index.names == fresh.names and index.unreadable.keys() == fresh.unreadable.keys()
    assert torch.equal(index.videos.clip_features, fresh.videos.clip_features)
    assert torch.equal(index.videos.clip_tokens, fresh.videos.clip_tokens)
    return index, model
