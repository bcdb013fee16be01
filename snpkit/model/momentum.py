"""MoCo for text-video matching: slowly moving key encoders and queues of negatives."""

import copy
from collections.abc import Sequence
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import BertModel

from snpkit.model.config import SNPConfig
from snpkit.model.objectives import momentum_contrast, text_video_similarity
from snpkit.model.shared import SharedNetwork
from snpkit.model.video import VideoTower

_NO_VIDEO = -1  # the number of a queued key whose video is not known


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
        # Of which video a key is: it is no negative of that video.
        for name in ("text_ids", "video_ids"):
            self.register_buffer(name, torch.full((config.moco_queue,), _NO_VIDEO))
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
    def keys(
        self, network: SharedNetwork, batch: dict[str, Any], lengths: Sequence[int] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Keys of a batch's texts [batch, hidden] and clips [batch, clips, hidden]."""
        captions = batch["input_ids"], batch["attention_mask"]
        text = network.text_pass(*captions, lengths, bert=self.bert)
        video = self.video(batch["pixel_values"], batch.get("pixel_mask"))
        return F.normalize(text.pooled, dim=-1), video.clip_features

    def loss(
        self,
        text: Tensor,
        clips: Tensor,
        text_keys: Tensor,
        clip_keys: Tensor,
        video_ids: Tensor | None = None,
    ) -> Tensor:
        """Mean of the video -> text and the text -> video MoCo losses, then queue the new keys.

        Every clip is a query with one positive text key; every text is a query whose positives are
        all clip keys of its video. Rows of several processes come gathered: so their queues stay
        equal.

        Args:
            text, text_keys: [batch, hidden]; clips, clip_keys: [batch, clips, hidden]; all
                L2-normalised.
            video_ids: int64 [batch]: queued keys of a query's own video are left out.
        """
        count, temperature = clips.shape[1], self.config.moco_temperature
        if video_ids is None:
            video_ids = torch.full((len(text),), _NO_VIDEO, device=text.device)
        # In float32 under autocast too: see `objectives.text_video_similarity`.
        products = text_video_similarity(text_keys, clips)  # [text, video, clip]
        positive = products.diagonal().T.flatten()[:, None]  # [batch * clips, 1]
        negative = text_video_similarity(self.text_queue, clips).permute(1, 2, 0).flatten(0, 1)
        owners = video_ids.repeat_interleave(count)
        negative = _leave_out(negative, owners, self.text_ids)
        video_loss = momentum_contrast(positive, negative, temperature)
        positive = text_video_similarity(text, clip_keys).diagonal().T  # [batch, clips]
        negative = text_video_similarity(text, self.video_queue[:, None])[..., 0]
        negative = _leave_out(negative, video_ids, self.video_ids)
        text_loss = momentum_contrast(positive, negative, temperature)
        # The queues are about to change; the products above were made from the old ones.
        self._enqueue("text", text_keys, video_ids)
        self._enqueue("video", clip_keys.flatten(0, 1), owners)
        return (text_loss + video_loss) / 2

    @torch.no_grad()
    def _enqueue(self, name: str, keys: Tensor, video_ids: Tensor) -> None:
        """Overwrite the oldest keys; the queue is a ring."""
        queue, pointer = getattr(self, f"{name}_queue"), getattr(self, f"{name}_pointer")
        # More keys than places: only the newest enter, because no place may be written twice.
        first = max(len(keys) - len(queue), 0)
        places = (pointer + torch.arange(first, len(keys), device=queue.device)) % len(queue)
        # A new tensor: the old queue is still needed for the gradient of this step's products.
        setattr(self, f"{name}_queue", queue.index_copy(0, places, keys[first:].to(queue.dtype)))
        getattr(self, f"{name}_ids").index_copy_(0, places, video_ids[first:])
        pointer.add_(len(keys)).remainder_(len(queue))


def _leave_out(scores: Tensor, queries: Tensor, queued: Tensor) -> Tensor:
    """Scores [query, queue], -inf where a queued key is of the query's own video."""
    same = (queries[:, None] == queued) & (queued != _NO_VIDEO)
    return scores.masked_fill(same, -torch.inf)
