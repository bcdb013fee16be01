"""Retrieval one caption at a time: its score with every video, the sorted list, the place in it."""

import torch
from torch import Tensor


def ranks(texts: Tensor, clips: Tensor) -> list[float]:
    """Rank of every caption's own video, ties sharing the mean of their places.

    Args:
        texts: [texts, hidden]; clips: [videos, clips, hidden]; text i belongs to video i.
    """
    found = []
    for own, text in enumerate(texts):
        scores = torch.stack([(video @ text).logsumexp(0) for video in clips])
        order = scores.argsort(descending=True)
        places = [place for place, video in enumerate(order.tolist(), 1)
                  if scores[video] == scores[own]]  # fmt: skip
        found.append(sum(places) / len(places))
    return found
