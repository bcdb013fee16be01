"""Exercises of the notebook 02_shared_network: one BERT in two roles, and what that costs."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from snpkit.model.config import SNPConfig
from snpkit.model.shared import SharedNetwork, ThreeFusion

from . import Exercise, called


def _config(**sizes: Any) -> SNPConfig:
    small = {
        "vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 32, "max_position_embeddings": 20, "cross_layers": 2,
        "cls_token_id": 1,
        "sep_token_id": 2,
        "mask_token_id": 3,
    }  # fmt: skip
    return SNPConfig(**small | sizes)


def _judge_clip_position(answer: Any) -> str | None:
    if not isinstance(answer, tuple) or len(answer) != 2:
        return "answer with a pair of whole numbers: (position, token type)."
    position, kind = answer
    if position == 11:
        return "that counts on from the caption; positions restart at 0 with the first clip token."
    if position == 3:
        return "positions count from 0, so that the first clip token has position 0."
    if position != 2:
        return f"{position!r} is not the position of the third clip token."
    return None if kind == 1 else "token type 0 says caption; clip tokens carry the other one."


def _judge_joint_mask(answer: Any) -> str | None:
    captions = torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1], [1, 1, 1, 1, 0]])
    for clips in (2, 1, 4):
        found = called(answer, captions, clips)
        if not isinstance(found, Tensor) or found.ndim != 2 or len(found) != len(captions):
            return "the mask must be a tensor [batch, tokens + clips + 1]."
        if found.shape[1] == captions.shape[1] + clips:
            return f"with {clips} clips one column is missing: the [SEP] after the clip tokens."
        if found.shape[1] != captions.shape[1] + clips + 1:
            return f"5 tokens and {clips} clips make {6 + clips} columns, not {found.shape[1]}."
        if not torch.equal(found[:, :5].long(), captions):
            return "the first columns must be the caption's own mask: text comes first."
        if not bool((found[:, 5:] == 1).all()):
            return "clip tokens and their [SEP] are never padding: they need a 1."
    return None


def _judge_own_parts(answer: Any) -> str | None:
    if isinstance(answer, str) or not isinstance(answer, Iterable):
        return "answer with a set of parameter names, such as {'bert.pooler.dense.bias'}."
    network = SharedNetwork(_config())
    own, found = (
        {f"cross_pooler.{n}" for n, _ in network.cross_pooler.named_parameters()},
        set(answer),
    )
    unknown = found - {name for name, _ in network.named_parameters()}
    if unknown:
        return f"the network has no parameter {min(unknown, key=str)!r}."
    shared = found - own
    if shared:
        return f"{min(shared)!r} is part of the BERT that also reads captions alone."
    if own - found:
        return f"{len(own - found)} parameter of the cross-modal pass alone is not in your answer."
    return None


def _copied() -> ThreeFusion:
    """A separate encoder whose values, at this moment, equal the text encoder's."""
    network = ThreeFusion(_config(architecture="three_fusion"))
    network.separate_embeddings.load_state_dict(network.bert.embeddings.state_dict())
    network.separate_encoder.load_state_dict(network.bert.encoder.state_dict())
    return network


def _judge_is_one_network(answer: Any) -> str | None:
    half = _copied()
    half.separate_encoder = half.bert.encoder
    cases = (
        (SharedNetwork(_config()), True, "SNP reads both roles with the same tensors; say True."),
        (ThreeFusion(_config(architecture="three_fusion")), False,
         "three-fusion has a separate encoder; say False."),
        (_copied(), False, "a copy with equal values is another tensor; compare objects (`is`, "
         "data_ptr), not values."),
        (half, False, "here the layers are shared but the embeddings are not; look at both."),
    )  # fmt: skip
    for network, truth, wrong in cases:
        if bool(called(answer, network)) is not truth:
            return wrong
    return None


_SIZES = (
    {"hidden_size": 16, "intermediate_size": 32, "vocab_size": 40, "max_position_embeddings": 20},
    {"hidden_size": 768, "intermediate_size": 3072, "vocab_size": 30522,
     "max_position_embeddings": 512},
)  # fmt: skip


def _judge_extra_parameters(answer: Any) -> str | None:
    for sizes in _SIZES:
        for layers in (1, 3):
            config = _config(**sizes, architecture="three_fusion", cross_layers=layers)
            with torch.device("meta"):
                network = ThreeFusion(config)
            parts = (network.separate_embeddings, network.separate_encoder)
            truth = sum(p.numel() for part in parts for p in part.parameters())
            found = called(
                answer, sizes["hidden_size"], sizes["intermediate_size"], sizes["vocab_size"],
                sizes["max_position_embeddings"], layers,
            )  # fmt: skip
            if found != truth:
                return _named_difference(int(found) - truth, layers, **sizes)
    return None


def _named_difference(off: int, layers: int, **sizes: int) -> str:
    hidden, wide = sizes["hidden_size"], sizes["intermediate_size"]
    known = {
        -(hidden * (sizes["vocab_size"] + sizes["max_position_embeddings"] + 4)):
            "the embeddings are missing.",
        -2 * hidden * (2 * layers + 1): "every LayerNorm has a weight and a bias.",
        -layers * (4 * hidden + wide + hidden): "linear maps have biases too.",
        -2 * hidden: "the token types (2 of them) or a LayerNorm is missing.",
    }  # fmt: skip
    many = "too many" if off > 0 else "too few"
    return known.get(off, f"with {layers} layers of width {hidden} that is {abs(off):,} {many}.")


def _judge_cross_modal_pass(answer: Any) -> str | None:
    torch.manual_seed(0)
    network = SharedNetwork(_config()).eval()
    ids = torch.randint(5, 40, (2, 6))
    mask = torch.tensor([[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0]])
    clips = torch.randn(2, 3, 16)
    with torch.no_grad():
        found = called(answer, network, ids, mask, clips)
        truth = network.cross_modal_pass(ids, mask, clips)
    if not isinstance(found, Tensor) or found.shape != truth.text.shape:
        return "return the word vectors alone: a tensor [pairs, tokens, hidden]."
    if torch.allclose(found, truth.text, atol=1e-5):
        return None
    if torch.allclose(found[0], truth.text[0], atol=1e-5):
        return "the padded caption comes out wrong: padding must be masked in the joint input."
    if torch.allclose(found, network.text_pass(ids, mask).tokens, atol=1e-5):
        return "these are the vectors of the caption alone; the clip tokens were not read."
    return "the vectors differ; embed the text and the clips, join them, mask, and run the layers."


def _judge_pairs_read(answer: Any) -> str | None:
    if not isinstance(answer, tuple) or len(answer) != 2:
        return "answer with a pair of whole numbers: (all pairs, with 3 negatives)."
    every, drawn = answer
    if every != 128 * 128:
        return f"every caption is read with every video of the batch; {every!r} is not that many."
    if drawn == 128 * 3:
        return "each caption is also read with its own video, besides the 3 others."
    return None if drawn == 128 * 4 else f"{drawn!r} is not 128 captions with 1 + 3 videos each."


def _one_column_short(mask: Tensor, clips: int) -> Tensor:
    return torch.cat([mask, mask.new_ones(len(mask), clips)], dim=1)


def _clips_hidden(mask: Tensor, clips: int) -> Tensor:
    return torch.cat([mask, mask.new_zeros(len(mask), clips + 1)], dim=1)


def _equal_values(network: SharedNetwork) -> bool:
    pairs = zip(network.bert.encoder.parameters(), network.cross_encoder.parameters(), strict=False)
    return all(torch.equal(a, b) for a, b in pairs)


def _layers_only(network: SharedNetwork) -> bool:
    return network.cross_encoder is network.bert.encoder


def _without_biases(hidden: int, wide: int, words: int, positions: int, layers: int) -> int:
    norms = 2 * hidden * (2 * layers + 1)
    matrices = layers * (4 * hidden * hidden + 2 * hidden * wide)
    return hidden * (words + positions + 2) + matrices + norms


def _layers_alone(hidden: int, wide: int, words: int, positions: int, layers: int) -> int:
    return layers * (4 * hidden * (hidden + 1) + 2 * hidden * wide + wide + 5 * hidden)


def _alone(network: SharedNetwork, ids: Tensor, mask: Tensor, clips: Tensor) -> Tensor:
    return network.text_pass(ids, mask).tokens


def _unmasked(network: SharedNetwork, ids: Tensor, mask: Tensor, clips: Tensor) -> Tensor:
    joint = torch.cat([network.embed_text(ids), network.embed_clips(clips)], dim=1)
    return network.cross_encoder(joint).last_hidden_state[:, : ids.shape[1]]


EXERCISES = (
    Exercise(
        "clip_position",
        "look at the two rows of small numbers in the diagram of the cross-modal role.",
        _judge_clip_position,
        "A clip token means the same after a short caption and after a long one.",
        ((11, 1), (3, 1), (2, 0), (5, 1), 2),
    ),
    Exercise(
        "joint_mask",
        "join the caption's mask with as many ones as there are tokens behind it.",
        _judge_joint_mask,
        "Only the caption can be padded; a video always has all its clips.",
        (_one_column_short, _clips_hidden, lambda mask, clips: mask),
    ),
    Exercise(
        "own_parts",
        "compare `network.named_parameters()` with `network.bert.named_parameters()`.",
        _judge_own_parts,
        "All that the cross-modal pass has for itself is one linear map.",
        ({"bert.pooler.dense.weight"}, {"cross_pooler.dense.weight"}, {"cross_encoder"}, "pooler"),
    ),
    Exercise(
        "is_one_network",
        "go through the parameters of embeddings and encoder of both roles, two at a time.",
        _judge_is_one_network,
        "Shared means one object, not two that happen to be equal today.",
        (_equal_values, _layers_only, lambda network: 1),
    ),
    Exercise(
        "extra_parameters",
        "count the embeddings first, then one layer: 4 + 2 linear maps and 2 LayerNorms.",
        _judge_extra_parameters,
        "At BERT-base size with three layers that is the 45,100,800 of the paper's Table II.",
        (_without_biases, _layers_alone, lambda *sizes: 45_100_800),
    ),
    Exercise(
        "cross_modal_pass",
        "join `network.embed_text(...)` and `network.embed_clips(...)` along the tokens.",
        _judge_cross_modal_pass,
        "Four lines: the two roles differ in what is read, not in what reads.",
        (_alone, _unmasked, lambda network, ids, mask, clips: clips),
    ),
    Exercise(
        "pairs_read",
        "each of the 128 captions of the batch is one row of the score matrix.",
        _judge_pairs_read,
        "Reading pairs together is what costs: dot products of all pairs are almost free.",
        ((128, 384), (16384, 384), (16384, 3), 16384),
    ),
)
