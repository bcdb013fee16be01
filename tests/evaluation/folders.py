"""A model that knows colours and counts what it reads, and pictures of one colour to read."""

import os
from types import SimpleNamespace

import numpy as np
import torch
from PIL import Image
from torch import nn

from snpkit.evaluation.index import encode_folder

COLOURS = {"red": (220, 30, 30), "green": (30, 200, 30), "blue": (30, 30, 220)}
LONG_AGO = 1_600_000_000


class Colours(nn.Module):
    """A video's vectors are its mean colour, times a weight that another model has otherwise."""

    def __init__(self, weight=1.0, **config):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weight))
        defaults = {"clips": 1, "frames": 1, "image_size": 8, "image_fit": "crop"}
        defaults["frame_middle"] = "upper"
        self.config = SimpleNamespace(**(defaults | config))
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


def same_as_fresh(index, model, root):
    """The kept index says what a new one would."""
    fresh = encode_folder(type(model)(model.weight.item(), **vars(model.config)), root)
    assert index.names == fresh.names and index.unreadable.keys() == fresh.unreadable.keys()
    assert torch.equal(index.videos.clip_features, fresh.videos.clip_features)
    assert torch.equal(index.videos.clip_tokens, fresh.videos.clip_tokens)
    return True
