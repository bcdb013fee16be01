"""The proxy tasks as pure functions of tensors (paper sec. III-C and III-D)."""

import torch
import torch.nn.functional as F
from torch import Tensor


def mil_nce(similarity: Tensor, video_ids: Tensor | None = None) -> Tensor:
    """MIL-NCE matching loss over a batch of aligned texts and videos.

    With C clips and the centre clip c* = C // 2, the loss of pair i is

        -log( C e^{s[i,i,c*]} / ( C sum_t e^{s[t,i,c*]} + sum_{v != i} sum_c e^{s[i,v,c]} ) )

    and the result is its mean over i. Only the centre clip is a positive, as in the paper's code.
    A score of -inf stands for a pair that was not computed: it leaves every sum.

    Args:
        similarity: [text, video, clip], text i belongs to video i.
        video_ids: int64 [video]; equal numbers are one video, which is never its own negative:
            such pairs leave every sum too. None = all differ.

    Returns:
        A scalar; 0 when the batch has one pair (nothing to tell apart).
    """
    texts, videos, clips = similarity.shape
    if texts != videos:
        raise ValueError(f"mil_nce needs as many texts as videos, got {texts} and {videos}.")
    (similarity,) = _at_least_float32(similarity)
    if video_ids is not None:
        similarity = similarity.masked_fill(_same_video(video_ids)[:, :, None], -torch.inf)
    centre = similarity[:, :, clips // 2]  # [text, video]
    log_clips = torch.log(torch.tensor(float(clips), dtype=centre.dtype, device=centre.device))
    own = torch.eye(texts, dtype=torch.bool, device=similarity.device)
    from_videos = centre.T + log_clips  # row i: log C + s[t, i, c*] for every text t
    from_texts = similarity.masked_fill(own[:, :, None], -torch.inf).flatten(1)  # row i: v != i
    denominator = torch.cat([from_videos, from_texts], dim=1).logsumexp(dim=1)
    return (denominator - centre.diagonal() - log_clips).mean()


def _same_video(video_ids: Tensor) -> Tensor:
    """bool [video, video]: another row of the same video."""
    own = torch.eye(len(video_ids), dtype=torch.bool, device=video_ids.device)
    return (video_ids[:, None] == video_ids) & ~own


def text_video_similarity(text: Tensor, clips: Tensor) -> Tensor:
    """Dot products of pooled texts [text, hidden] and clip features [video, clip, hidden]:
    -> [text, video, clip] (GVTM, level of the encoders)."""
    with torch.autocast(text.device.type, enabled=False):
        return torch.einsum("th,vch->tvc", *_at_least_float32(text, clips))


def word_video_similarity(words: Tensor, present: Tensor, clips: Tensor) -> Tensor:
    """LVWM scores: log-sum-exp over a caption's significant words of word . clip feature.

    Args:
        words: [text, word, hidden] contextual vectors; present: bool [text, word], False = no word.
        clips: [video, clip, hidden] clip features.
    Returns:
        [text, video, clip].
    """
    with torch.autocast(words.device.type, enabled=False):
        scores = torch.einsum("twh,vch->tvcw", *_at_least_float32(words, clips))
    return scores.masked_fill(~present[:, None, None, :], -torch.inf).logsumexp(dim=-1)


def masked_language_modelling(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy over labelled tokens.

    Args:
        logits: [labelled tokens, vocabulary]; labels: [labelled tokens] true ids.
    Returns:
        A scalar; 0 (with a gradient of 0) when the batch has no label.
    """
    if labels.numel() == 0:
        return logits.sum() * 0.0
    return F.cross_entropy(logits, labels)


def image_text_matching(positive: Tensor, negative: Tensor) -> Tensor:
    """ITM: mean cross-entropy of [pairs, 2] logits; class 1 = the caption belongs to the video."""
    logits = torch.cat([positive, negative])
    labels = torch.zeros(len(logits), dtype=torch.long, device=logits.device)
    labels[: len(positive)] = 1
    return F.cross_entropy(logits, labels)


def momentum_contrast(positive: Tensor, negative: Tensor, temperature: float) -> Tensor:
    """MoCo loss: mean of -log( sum e^{p/T} / ( sum e^{p/T} + sum e^{n/T} ) ).

    Args:
        positive: [query, positives] scores; negative: [query, queue] scores, -inf = left out.
    """
    positive, negative = _at_least_float32(positive, negative)
    numerator = (positive / temperature).logsumexp(dim=1)
    denominator = (torch.cat([positive, negative], dim=1) / temperature).logsumexp(dim=1)
    return (denominator - numerator).mean()


def draw_negatives(
    scores: Tensor, count: int, sampling: str = "weighted", video_ids: Tensor | None = None
) -> Tensor:
    """Choose negative videos for every text; no host synchronisation.

    Args:
        scores: [text, video] text-video scores (detached); text i belongs to video i.
        count: negatives per text; at most videos - 1 are there.
        sampling: "weighted", drawn with probability proportional to e^score; "uniform", all
            equally likely; "top_k", those of the highest scores; "nearest", those whose scores are
            closest to the true video's (the last two as in the published code).
        video_ids: int64 [video]: other rows of a text's own video come last.

    Returns:
        Video indices [text, min(count, videos - 1)], never the text's own.
    """
    texts, videos = scores.shape
    if sampling == "uniform":
        scores = torch.zeros_like(scores)
    if sampling == "nearest":
        scores = -(scores - scores.diagonal()[:, None]).abs()
    if sampling in ("weighted", "uniform"):
        # Gumbel noise plus top-k is sampling without replacement.
        scores = _add_gumbel_noise(scores)
    if video_ids is not None:
        scores = scores.masked_fill(_same_video(video_ids), torch.finfo(scores.dtype).min)
    own = torch.eye(texts, videos, dtype=torch.bool, device=scores.device)
    return scores.masked_fill(own, -torch.inf).topk(min(count, videos - 1), dim=1).indices


def draw_attended(received: Tensor, words: Tensor, ratio: float = 0.15) -> Tensor:
    """Attentive masking: draw max(1, int(n * ratio)) of a caption's n word tokens, each with
    probability proportional to the attention that it receives (plus 1e-6), without replacement.

    Args:
        received: [batch, tokens] attention received; words: bool [batch, tokens].
    Returns:
        bool [batch, tokens], True = masked. A caption without words stays whole.
    """
    keys = _add_gumbel_noise((received + 1e-6).log())
    order = keys.masked_fill(~words, -torch.inf).argsort(dim=1, descending=True)
    count = (words.sum(1) * ratio).long().clamp(min=1)
    places = torch.arange(received.shape[1], device=received.device)
    drawn = torch.zeros_like(words).scatter(1, order, places < count[:, None])
    return drawn & words


def _add_gumbel_noise(log_weights: Tensor) -> Tensor:
    # In float32 at least: bfloat16 noise takes few values, and rare draws would hardly ever happen.
    log_weights = log_weights.to(torch.promote_types(log_weights.dtype, torch.float32))
    uniform = torch.rand_like(log_weights).clamp_(torch.finfo(log_weights.dtype).tiny, 1 - 1e-7)
    return log_weights - torch.log(-torch.log(uniform))


def _at_least_float32(*tensors: Tensor) -> tuple[Tensor, ...]:
    # A logit of 14 in bfloat16 is known to 0.06 only: too coarse for a softmax over the batch.
    return tuple(t.to(torch.promote_types(t.dtype, torch.float32)) for t in tensors)
