"""A toy model with the methods of the real one, small enough to work out by hand."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn import functional

from tests.evaluation.folders import COLOURS, paint

HIDDEN = 8


class ToyModel(nn.Module):
    """Every method asserts what evaluation promises: no gradient, no dropout."""

    def __init__(self, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        self.config = SimpleNamespace(architecture="snp")
        self.words = nn.Embedding(2000, HIDDEN)
        self.pixels = nn.Linear(3, HIDDEN)
        self.dropout = nn.Dropout(0.5)
        self.seen_pairs, self.batch_sizes = [], []

    def encode_text(self, input_ids, attention_mask, lengths=None):
        self._check(attention_mask, lengths)
        tokens = self.dropout(self.words(input_ids))
        weight = attention_mask[..., None].float()
        pooled = (tokens * weight).sum(1) / weight.sum(1)
        return SimpleNamespace(pooled=functional.normalize(pooled, dim=-1), tokens=tokens)

    def encode_video(self, pixel_values, pixel_mask=None):
        self._check()
        assert pixel_values.dtype == torch.uint8
        assert pixel_values.ndim == 6
        self.batch_sizes.append(len(pixel_values))
        colour = pixel_values.float().mean(dim=(2, 4, 5)) / 255
        tokens = self.dropout(self.pixels(colour.to(self.pixels.weight.dtype)))
        return SimpleNamespace(
            clip_tokens=tokens, clip_features=functional.normalize(tokens, dim=-1)
        )

    def match(self, text, clip_features):
        self._check()
        return torch.einsum("th,vch->tvc", text, clip_features).logsumexp(-1)

    def cross_match(self, input_ids, attention_mask, clip_tokens, lengths=None):
        self._check(attention_mask, lengths)
        self.seen_pairs.append(len(input_ids))
        text = (self.words(input_ids) * attention_mask[..., None]).sum(1)
        return torch.sin(3 * (text * clip_tokens.mean(1)).sum(-1))

    def _check(self, attention_mask=None, lengths=None):
        assert lengths is None or lengths == attention_mask.sum(1).tolist()
        assert not torch.is_grad_enabled()
        assert not self.training
        assert not self.dropout.training


class ToyDataset:
    """Videos of one colour each; `rows` name the video, `broken` cannot be read."""

    def __init__(self, videos, captions, broken=()):
        self.manifest = SimpleNamespace(
            rows=[
                SimpleNamespace(video=f"{video}.mp4", start=None, end=None, caption=caption)
                for video, caption in zip(videos, captions, strict=True)
            ]
        )
        self.videos, self.broken, self.read = videos, set(broken), []

    def __len__(self):
        return len(self.videos)

    def __getitem__(self, index):
        self.read.append(index)
        if self.videos[index] in self.broken:
            index = (index + 1) % len(self)
        generator = torch.Generator().manual_seed(self.videos[index])
        colours = torch.randint(256, (2, 1, 3, 1, 1), generator=generator)
        frames = colours.expand(2, 1, 3, 4, 4).to(torch.uint8)
        return {
            "frames": frames, "caption": self.manifest.rows[index].caption, "index": index
        }  # fmt: skip


@pytest.fixture(scope="session")
def toy():
    """The toy classes, for tests that build their own."""
    return SimpleNamespace(Model=ToyModel, Dataset=ToyDataset, hidden=HIDDEN)


@pytest.fixture
def folder(tmp_path):
    """Three pictures of one colour each, painted long ago."""
    for when, (name, colour) in enumerate(COLOURS.items()):
        paint(tmp_path / "clips" / f"{name}.png", colour, when)
    return tmp_path / "clips"


@pytest.fixture
def kept(tmp_path):
    """Where indices are kept."""
    return tmp_path / "index"
