"""MoCo for text-video matching: slowly moving key encoders and queues of negatives."""

import copy
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import BertModel

from snpkit.model.config import SNPConfig
from snpkit.model.lengths import with_facts
from snpkit.model.objectives import momentum_contrast
from snpkit.model.unpadded import text_pass
from snpkit.model.video import VideoTower


class MomentumEncoders(nn.Module):
    """Key encoders (exponential moving averages) and two queues of `moco_queue` keys each.

    Paper sec. IV (released configurations): T 0.05, momentum 0.9999, queue 16384.
    """

    def __init__(self, config: SNPConfig, bert: BertModel, video: VideoTower) -> None:
        super().__init__()
        self.config = config
        self.bert = copy.deepcopy(bert).requires_grad_(False)
        self.video = copy.deepcopy(video).requires_grad_(False)
        shape = (config.moco_queue, config.hidden_size)
        self.register_buffer("text_queue", F.normalize(torch.randn(shape), dim=-1))
        self.register_buffer("video_queue", F.normalize(torch.randn(shape), dim=-1))
        self.register_buffer("text_pointer", torch.zeros((), dtype=torch.long))
        self.register_buffer("video_pointer", torch.zeros((), dtype=torch.long))

    def train(self, mode: bool = True) -> Self:
        """As in torch; the key encoders never get gradients (`from_pretrained` makes new
        parameters, and ends in `eval()`)."""
        return super().train(mode).requires_grad_(False)

    @torch.no_grad()
    def start(self, bert: BertModel, video: VideoTower) -> None:
        """Make the key encoders equal to the trained ones (after weights were loaded)."""
        self.bert.load_state_dict(bert.state_dict())
        self.video.load_state_dict(video.state_dict())

    @torch.no_grad()
    def update(self, bert: BertModel, video: VideoTower) -> None:
        """Move the key encoders a step towards the trained ones: k <- m k + (1 - m) q."""
        keep = self.config.moco_momentum
        for key_module, module in ((self.bert, bert), (self.video, video)):
            for key, query in zip(key_module.parameters(), module.parameters(), strict=True):
                key.lerp_(query.to(key.dtype), 1 - keep)
            for key, query in zip(key_module.buffers(), module.buffers(), strict=True):
                key.copy_(query)

    @torch.no_grad()
    def keys(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Keys of a batch's texts [batch, hidden] and clips [batch, clips, hidden]."""
        captions = batch["input_ids"], batch["attention_mask"], with_facts(batch)["facts"].lengths
        video = self.video(batch["pixel_values"], batch.get("pixel_mask"))
        return F.normalize(text_pass(self.bert, *captions).pooled, dim=-1), video.clip_features

    def loss(self, text: Tensor, clips: Tensor, text_keys: Tensor, clip_keys: Tensor) -> Tensor:
        """Mean of the video -> text and the text -> video MoCo losses, then queue the new keys.

        Every clip is a query with one positive text key; every text is a query whose positives are
        all clip keys of its video. Rows of several processes come joined: so their queues stay
        equal.

        Args:
            text, text_keys: [batch, hidden]; clips, clip_keys: [batch, clips, hidden]; all
                L2-normalised.
        """
        temperature = self.config.moco_temperature
        queries = clips.flatten(0, 1)  # [batch * clips, hidden]
        positive = (clips * text_keys[:, None]).sum(-1).flatten()[:, None]
        video_loss = momentum_contrast(positive, queries @ self.text_queue.T, temperature)
        positive = (text[:, None] * clip_keys).sum(-1)  # [batch, clips]
        text_loss = momentum_contrast(positive, text @ self.video_queue.T, temperature)
        # The queues are about to change; the products above were made from the old ones.
        self._enqueue("text", text_keys)
        self._enqueue("video", clip_keys.flatten(0, 1))
        return (text_loss + video_loss) / 2

    @torch.no_grad()
    def _enqueue(self, name: str, keys: Tensor) -> None:
        """Overwrite the oldest keys; the queue is a ring."""
        queue, pointer = getattr(self, f"{name}_queue"), getattr(self, f"{name}_pointer")
        # More keys than places: only the newest enter, because no place may be written twice.
        first = max(len(keys) - len(queue), 0)
        places = (pointer + torch.arange(first, len(keys), device=queue.device)) % len(queue)
        # A new tensor: the old queue is still needed for the gradient of this step's products.
        setattr(self, f"{name}_queue", queue.index_copy(0, places, keys[first:].to(queue.dtype)))
        pointer.add_(len(keys)).remainder_(len(queue))
