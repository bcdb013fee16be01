"""Start the shared network from a pre-trained BERT: a directory or a hub id."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import BertConfig

from snpkit.errors import CheckpointError, UserError, listed
from snpkit.files import read_object
from snpkit.model.config import BERT_SIZES, BERT_TRAINING, SNPConfig
from snpkit.model.initialisation import take_weights
from snpkit.model.pretraining import SNPPreTrainedModel
from snpkit.weights import find_file, match, read_weights

_SPECIAL_TOKENS = {
    "pad_token_id": "[PAD]",
    "cls_token_id": "[CLS]",
    "sep_token_id": "[SEP]",
    "mask_token_id": "[MASK]",
}
_POOLER = ("pooler.dense.weight", "pooler.dense.bias")


@dataclass(frozen=True)
class LoadedText:
    """What became of the weights of a BERT.

    loaded: how many tensors the shared network took; missing: its parameters that were not there
    (at most the pooler's) and keep their values; unused: tensors of heads that it has no use for.
    """

    loaded: int
    missing: tuple[str, ...]
    unused: tuple[str, ...]


def config_from_bert(path_or_hub_id: str | Path, **overrides: Any) -> SNPConfig:
    """An SNPConfig whose shared network has the sizes and the special tokens of a BERT.

    Args:
        path_or_hub_id: a directory with BERT's config.json, or a hub id like "bert-base-uncased".
        overrides: any other fields of SNPConfig, or other values for these.

    Raises:
        UserError: there is no such BERT.
    """
    bert = _read_config(path_or_hub_id)
    fields = {name: getattr(bert, name) for name in BERT_SIZES + BERT_TRAINING}
    vocabulary = _read_vocabulary(path_or_hub_id)
    if vocabulary is not None:
        special = _SPECIAL_TOKENS.items()
        fields |= {field: vocabulary[token] for field, token in special if token in vocabulary}
    return SNPConfig(**(fields | overrides))


def load_text_weights(
    model: SNPPreTrainedModel,
    path_or_hub_id: str | Path,
    *,
    vocabulary: Mapping[str, int] | None = None,
) -> LoadedText:
    """Copy the weights of a pre-trained BERT into the shared network of `model`.

    Heads are left out, names may begin with "bert.", and only the pooler may be missing. The
    separate cross-modal encoder of three_fusion keeps its values. Nothing is changed on an error.

    Args:
        path_or_hub_id: a directory or hub id with config.json and model.safetensors (or its
            shards, or a pytorch_model.bin, which torch's restricted unpickler reads).
        vocabulary: token -> id of the tokenizer in use (`tokenizer.get_vocab()`), to be compared
            with the one beside the weights.

    Raises:
        UserError: no BERT there, or one of other sizes or another vocabulary.
        CheckpointError: weights that cannot be read or have other names; it lists them.
    """
    _check_sizes(model.config, path_or_hub_id)
    _check_vocabulary(model.config, path_or_hub_id, vocabulary)
    own, named, unused = model.network.bert.state_dict(), [], []
    for name, value in read_weights(path_or_hub_id).items():
        # The first BERTs were saved with gamma and beta for a norm's weight and bias.
        bare = re.sub(r"LayerNorm\.gamma$", "LayerNorm.weight", name.removeprefix("bert."))
        bare = re.sub(r"LayerNorm\.beta$", "LayerNorm.bias", bare)
        if bare.endswith("position_ids"):  # a constant
            continue
        if bare.startswith(("embeddings.", "encoder.", "pooler.")):
            named.append((name, bare, value))
        else:
            unused.append(name)
    weights, faults = match(own, named, optional=_POOLER)
    if faults:
        raise CheckpointError(
            f"The weights in {path_or_hub_id} are not a BERT's: {listed(faults)}."
        )
    take_weights(model, {f"network.bert.{name}": value for name, value in weights.items()})
    missing = tuple(name for name in own if name not in weights)
    return LoadedText(len(weights), missing, tuple(sorted(unused)))


def _check_sizes(config: SNPConfig, source: str | Path) -> None:
    theirs, ours = _read_config(source), config.bert_config()
    differing = [
        f"{name} is {getattr(theirs, name)} there and {getattr(ours, name)} here"
        for name in BERT_SIZES
        if getattr(theirs, name) != getattr(ours, name)
    ]
    if differing:
        raise UserError(
            f"The BERT in {source} does not fit this model: {listed(differing)}; build the "
            "configuration with config_from_bert."
        )


def _check_vocabulary(
    config: SNPConfig, source: str | Path, vocabulary: Mapping[str, int] | None
) -> None:
    stored = _read_vocabulary(source)
    if stored is None:
        return
    for field, token in _SPECIAL_TOKENS.items():
        if stored.get(token, getattr(config, field)) != getattr(config, field):
            raise UserError(
                f"The vocabulary in {source} has {token} at {stored[token]}, but {field} is "
                f"{getattr(config, field)}; build the configuration with config_from_bert."
            )
    if vocabulary is not None and dict(vocabulary) != stored:
        both = stored.items() & vocabulary.items()
        raise UserError(
            f"The tokenizer has another vocabulary than {source}: {len(both)} of {len(stored)} "
            "tokens have the same id; load the tokenizer from there."
        )


def _read_config(source: str | Path) -> BertConfig:
    path = find_file(source, "config.json")
    if path is None:
        raise UserError(
            f"There is no BERT in {str(source)!r}: give a directory or a reachable hub id with a "
            "config.json."
        )
    stored = read_object(path)
    kind = stored.get("model_type", "bert")
    absolute = kind == "bert" and stored.get("position_embedding_type", "absolute") == "absolute"
    if not absolute:
        raise UserError(
            f"{path} describes no BERT with absolute positions (model_type {kind!r}); the shared "
            "network takes the weights of no other network."
        )
    try:
        known = BERT_SIZES + BERT_TRAINING
        return BertConfig(**{name: stored[name] for name in known if name in stored})
    except Exception as error:  # transformers refuses wrong values in several ways
        raise UserError(
            f"{path} describes no BERT: {' '.join(str(error).split())[:200]}"
        ) from error


def _read_vocabulary(source: str | Path) -> dict[str, int] | None:
    path = find_file(source, "vocab.txt")
    try:
        if path is not None:
            # Not splitlines: a token may hold one of Unicode's other line ends.
            lines = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
            return {token: number for number, token in enumerate(lines)}
        path = find_file(source, "tokenizer.json")
        if path is None:
            return None
        stored = read_object(path)
        added = {entry["content"]: entry["id"] for entry in stored.get("added_tokens", [])}
        pieces = stored.get("model", {}).get("vocab")
    except (OSError, UnicodeDecodeError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} holds no vocabulary; is it damaged?") from error
    return {**pieces, **added} if isinstance(pieces, dict) else None
