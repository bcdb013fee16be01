"""The 2-D networks of transformers: which one, with which weights, and where its stages are."""

import json
import re
from collections.abc import Sequence
from copy import deepcopy
from itertools import accumulate
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import nn
from transformers import CONFIG_MAPPING, PretrainedConfig, PreTrainedModel
from transformers.models.auto.modeling_auto import MODEL_FOR_BACKBONE_MAPPING_NAMES

from snpkit.errors import CheckpointError, UserError, listed
from snpkit.files import read_object
from snpkit.weights import bounded, find_file, pretrained

PRESETS = ("resnet50", "pvt_v2_b2", "video_swin_s", "video_swin_b")  # no directory or hub id
# timm's models come from elsewhere on the network, by names in their configuration.
KINDS = set(MODEL_FOR_BACKBONE_MAPPING_NAMES) - {"timm_backbone"}
_WEIGHT_FILES = ("*.safetensors", "*.safetensors.index.json", "pytorch_model*")
# What a classification checkpoint holds beyond its backbone, and the norms that transformers adds
# to the outputs of some backbones: no checkpoint has them, and new ones change nothing but scale.
_HEADS = re.compile(r"([a-z0-9_]+\.)?(classifier|head|fc|pooler|layernorm)\.")
_COUNTS = re.compile(r"(layers|depths?|num_blocks)$")  # each of these is a part to be made
_ADDED_NORMS = re.compile(r"hidden_states_norms\.")


def build_backbone(config: PretrainedConfig) -> PreTrainedModel:
    """The transformers backbone that an SNPConfig names, with its weights where it has some.

    See `snpkit.model.vision.build_vision_encoder` for the fields, and for the errors.
    """
    backbone_config = _backbone_config(config)
    name = MODEL_FOR_BACKBONE_MAPPING_NAMES[backbone_config.model_type]
    source = weights_source(config)
    try:
        kind = getattr(transformers, name)
        with bounded(), torch.device("meta"):  # before anything is allocated
            backbone = kind(deepcopy(backbone_config))
        if not is_skeleton():
            new = source is None
            backbone = kind(backbone_config) if new else _load(kind, source, backbone_config)
    except UserError:
        raise
    except Exception as error:  # a library is missing, or sizes that do not go together
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"The visual encoder {config.vision!r} cannot run: {reason}") from error
    if backbone_config.model_type == "pvt_v2":
        set_pvt_epsilons(backbone)
    return backbone


def weights_source(config: PretrainedConfig) -> str | None:
    """Where the encoder's first weights come from, a directory, file or hub id; None = random."""
    return config.vision_pretrained or _weights_in(config.vision)


def set_pvt_epsilons(backbone: nn.Module) -> None:
    """Give a PVTv2, of a preset or a directory, the epsilons that its authors trained it with.

    The norms behind patch embeddings and behind the spatial reduction of keys and values have 1e-5.
    transformers gives them `layer_norm_eps` of its config, 1e-6, which is that of the other norms.
    """
    for name, norm in backbone.named_modules():
        if name.endswith(("patch_embedding.layer_norm", "attention.layer_norm")):
            norm.eps = 1e-5


def find_stages(backbone: PreTrainedModel) -> tuple[list[nn.Module], Sequence[nn.Module]]:
    """Stem and stages of a backbone, for freezing.

    The stages are the list of modules that is as long as the config's stage names (a plain vision
    transformer's are its layers); the stem is what comes before it. PVTv2 has no stem: each of its
    stages begins with a patch embedding of its own. Both are empty where no such list exists.
    """
    count, before = sum(name != "stem" for name in backbone.stage_names), {}
    for path, module in backbone.named_modules():
        if isinstance(module, nn.ModuleList) and len(module) == count:
            around = ("", *accumulate(path.split("."), "{}.{}".format))  # what the list lies in
            return [part for name, part in before.items() if name not in around], tuple(module)
        before[path] = module
    return [], ()


def is_skeleton() -> bool:
    """Whether a model is being built without values, to be filled from a checkpoint."""
    return torch.get_default_device().type == "meta"


def mark_loaded(module: nn.Module) -> None:
    """Keep transformers from initialising this module, when it goes through a new model."""
    for part in module.modules():
        part._is_hf_initialized = True


def _backbone_config(config: PretrainedConfig) -> PretrainedConfig:
    # A preset, what the model's own checkpoint kept, a type's default, or a config.json.
    if config.vision == "resnet50":
        return transformers.ResNetConfig(out_features=["stage4"])
    if config.vision == "pvt_v2_b2":  # the B2 column of table 1 in arXiv 2106.13797
        return transformers.PvtV2Config(
            hidden_sizes=[64, 128, 320, 512],
            depths=[3, 4, 6, 3],
            num_attention_heads=[1, 2, 5, 8],
            sr_ratios=[8, 4, 2, 1],
            mlp_ratios=[8, 8, 4, 4],
            linear_attention=False,
            out_features=["stage4"],
        )
    if not getattr(config, "vision_config", None):
        if config.vision in KINDS:
            found = CONFIG_MAPPING[config.vision]()
        else:
            if is_skeleton():
                raise UserError(f"The checkpoint says no more of its encoder {config.vision!r}.")
            found = _read_config(config.vision)
        found.out_indices = [-1]  # only the last stage
        # Through JSON, as it comes back from a saved model; it also turns tuples into the lists
        # that some of transformers' backbones insist on.
        config.vision_config = json.loads(found.to_json_string(use_diff=False))
    return _checked_config(config.vision_config, "vision_config")


def _checked_config(stored: Any, source: str) -> PretrainedConfig:
    """A backbone's config of what a file holds: fields of its type only, and no absurd sizes."""
    kind = stored.get("model_type") if isinstance(stored, dict) else None
    if not isinstance(kind, str) or kind not in KINDS:
        raise UserError(
            f"The model {source!r} is of type {str(kind)[:80]!r}, which snpkit cannot use as a "
            "backbone."
        )
    _check_sizes(stored, source)
    described = CONFIG_MAPPING[kind]
    try:
        known = {"out_features", "out_indices"} | described.attribute_map.keys()
        known |= {name for name in described().to_dict() if not name.startswith("_")}
        return described(**{name: value for name, value in stored.items() if name in known})
    except Exception as error:  # each type of transformers refuses wrong values in its own way
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"The configuration of {source!r} cannot be used: {reason}") from error


def _check_sizes(value: Any, source: str, field: str = "") -> None:
    """Raise UserError for numbers and lists that no backbone has; labels may be many."""
    inner: list[tuple[str, Any]] = []
    if isinstance(value, dict):
        inner = [(field or str(name), one) for name, one in value.items()]
    elif isinstance(value, list):
        inner = [(field, one) for one in value]
    limit = 100_000 if isinstance(value, dict) else 1_000
    most = 1_000 if _COUNTS.search(field) else 1_000_000
    number = isinstance(value, int | float)
    if len(inner) > limit or (number and not abs(value) <= most):
        raise UserError(f"The configuration of {source!r} has an absurd {field[:80]!r}.")
    for name, one in inner:
        _check_sizes(one, source, name)


def _read_config(source: str) -> PretrainedConfig:
    path = find_file(source, "config.json")
    if path is None:
        raise UserError(
            f"There is no visual encoder {source!r}: it is none of ours, no transformers backbone "
            "type, and no directory or reachable hub id with a config.json."
        )
    return _checked_config(read_object(path), source)


def _weights_in(vision: str) -> str | None:
    """`vision` itself where it is a hub id or a directory that holds weights, else None."""
    if vision in PRESETS or vision in KINDS:
        return None
    folder = Path(vision)
    if folder.is_dir() and not any(any(folder.glob(pattern)) for pattern in _WEIGHT_FILES):
        return None
    return vision


def _load(kind: type[PreTrainedModel], source: str, config: PretrainedConfig) -> PreTrainedModel:
    """Load weights strictly; only a classifier may be left over."""
    try:
        backbone, info = pretrained(
            kind.from_pretrained, config, source,
            dtype=torch.get_default_dtype(), output_loading_info=True,
            ignore_mismatched_sizes=True,  # they are reported below
        )  # fmt: skip
    except CheckpointError:
        raise
    except (ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise CheckpointError(f"Cannot load the visual encoder from {source}: {reason}") from error
    missing = [name for name in info["missing_keys"] if not _ADDED_NORMS.match(name)]
    unknown = [name for name in info["unexpected_keys"] if not _HEADS.match(name)]
    faults = [f"{name} (of another shape)" for name, *_ in sorted(info["mismatched_keys"])]
    faults += [f"{name} (missing)" for name in sorted(missing)]
    faults += [f"{name} (unknown)" for name in sorted(unknown)]
    if faults:
        named = listed(faults, 3)
        raise CheckpointError(f"The weights in {source} do not fit the encoder: {named}.")
    return backbone
