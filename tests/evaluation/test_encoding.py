"""Encoding: the same vectors however the batches fall, and a model left as it was found."""

import pytest
import torch

from snpkit.errors import UserError
from snpkit.evaluation.encoding import encode_texts, encode_videos, evaluating, to_model
from snpkit.language.tokenizer import train_tokenizer

CAPTIONS = [
    "a red kite falls", "boat", "the small blue house spins over a green field", "two trees"
]  # fmt: skip


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(CAPTIONS, 200)


def test_texts_do_not_depend_on_the_batch_size(toy, tokenizer):
    one, all_at_once = (encode_texts(toy.Model(), tokenizer, CAPTIONS, size) for size in (1, 99))
    torch.testing.assert_close(one.pooled, all_at_once.pooled)
    assert torch.equal(one.input_ids, all_at_once.input_ids)
    assert torch.equal(one.attention_mask, all_at_once.attention_mask)
    assert one.pooled.shape == (len(one), toy.hidden) == (4, 8)
    padded = one.attention_mask == 0
    assert padded.any() and (one.input_ids[padded] == tokenizer.pad_token_id).all()
    long = encode_texts(toy.Model(), tokenizer, ["a red kite " * 200], max_tokens=12)
    assert long.input_ids.shape == (1, 12)


def test_videos_and_their_masks_keep_their_order_over_batches(toy):
    class Masked(toy.Model):
        def encode_video(self, pixel_values, pixel_mask=None):
            assert pixel_mask.dtype == torch.bool
            self.masks = [*getattr(self, "masks", []), pixel_mask]
            return super().encode_video(pixel_values)

    frames = torch.randint(256, (5, 2, 3, 3, 4, 4), dtype=torch.uint8)
    masks = torch.rand(5, 2, 3, 4, 4) < 0.5
    model, masked = toy.Model(), Masked()
    split = encode_videos(model, ((video, None) for video in frames), batch_size=2)
    whole = encode_videos(masked, zip(frames, masks, strict=True), batch_size=5)
    assert (model.batch_sizes, masked.batch_sizes) == ([2, 2, 1], [5])
    assert torch.equal(torch.cat(masked.masks), masks) and len(split) == 5
    torch.testing.assert_close(split.clip_features, whole.clip_features)
    torch.testing.assert_close(split.clip_tokens, whole.clip_tokens)


def test_nothing_to_encode_is_a_clear_error(toy, tokenizer):
    with pytest.raises(UserError, match="no caption"):
        encode_texts(toy.Model(), tokenizer, [])
    with pytest.raises(UserError, match="no video"):
        encode_videos(toy.Model(), [])


@pytest.mark.parametrize("training", [True, False])
def test_every_submodule_gets_its_mode_back_even_after_an_error(toy, training):
    model = toy.Model().train(training)
    model.pixels.train(not training)  # a part that differs on purpose
    with pytest.raises(RuntimeError, match="stop"), evaluating(model):
        assert not any(module.training for module in model.modules())
        assert not torch.is_grad_enabled()
        raise RuntimeError("stop")
    assert torch.is_grad_enabled()
    assert model.training is model.dropout.training is training
    assert model.pixels.training is not training


def test_half_precision_models_give_single_precision_vectors(toy, tokenizer):
    model = toy.Model().to(torch.bfloat16)
    assert to_model(model, torch.zeros(2)).dtype == torch.bfloat16
    assert to_model(model, torch.zeros(2, dtype=torch.int64)).dtype == torch.int64
    assert to_model(torch.nn.Identity(), torch.zeros(2)).dtype == torch.float32
    assert encode_texts(model, tokenizer, CAPTIONS).pooled.dtype == torch.float32
    frames = torch.zeros(1, 1, 3, 2, 2, dtype=torch.uint8)
    assert encode_videos(model, [(frames, None)]).clip_tokens.dtype == torch.float32
