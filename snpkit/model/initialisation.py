"""Starting values of the parameters and buffers that transformers does not know.

`from_pretrained` builds a model without memory, fills in the checkpoint, and gives the rest
uninitialised memory: what the checkpoint lacks, and every buffer that is never saved. All that gets
its value here. The functions of `transformers.initialization` leave loaded tensors as they are.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import initialization as init
from transformers.models.bert.modeling_bert import BertEmbeddings

from snpkit.model.config import SNPConfig
from snpkit.model.heads import MLMHead
from snpkit.model.momentum import MomentumEncoders
from snpkit.model.vision.patches import PatchEncoder, SilentNorm
from snpkit.model.vision.swin import WindowAttention


def initialise(module: nn.Module) -> bool:
    """Initialise one module's own tensors; True when transformers has nothing to add."""
    if isinstance(module, nn.Conv2d | nn.Conv3d):
        # Torch's own fan-in initialisation: a fixed width that suits a transformer's matrices would
        # silence a convolution stem.
        module.reset_parameters()
    elif isinstance(module, BertEmbeddings):
        init.copy_(module.position_ids, torch.arange(module.position_ids.shape[-1])[None])
        init.zeros_(module.token_type_ids)
    elif isinstance(module, MLMHead):
        init.zeros_(module.bias)
    elif isinstance(module, PatchEncoder):
        init.zeros_(module.space)
        init.zeros_(module.time)
    elif isinstance(module, SilentNorm):
        for tensor in (module.weight, module.bias, module.running_mean, module.num_batches_tracked):
            init.zeros_(tensor)
        init.ones_(module.running_var)
    elif isinstance(module, WindowAttention):
        init.trunc_normal_(module.position_bias, std=0.02)
    elif isinstance(module, MomentumEncoders):
        for queue in (module.text_queue, module.video_queue):
            init.copy_(queue, F.normalize(torch.randn(queue.shape), dim=-1))
        for ids in (module.text_ids, module.video_ids):
            init.constant_(ids, -1)
        init.zeros_(module.text_pointer)
        init.zeros_(module.video_pointer)
    else:
        return False
    return True


def initial_log_scales(config: SNPConfig) -> Tensor:
    """Logarithms of the text-video, the cross-modal and the word scale: float [3]."""
    return torch.tensor([config.initial_logit_scale, 1.0, 1.0]).log()


def take_weights(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Copy tensors to the model's own of those names; MoCo's encoders then start as copies."""
    own = model.state_dict()
    with torch.no_grad():
        for name, value in weights.items():
            own[name].copy_(value)
        if isinstance(moco := getattr(model, "moco", None), MomentumEncoders):
            moco.start(model.network.bert, model.video)


def was_loaded(tensor: Tensor) -> bool:
    """Whether `from_pretrained` took this tensor from a checkpoint."""
    return getattr(tensor, "_is_hf_initialized", False)
