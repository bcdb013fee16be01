"""Attention in both roles: what transformers says it is, of the layers that really ran."""

import pytest
import torch
from transformers.models.bert.modeling_bert import BertSelfAttention

from snpkit.errors import UserError, VideoError
from snpkit.explore.attention import attention_maps
from snpkit.explore.explanation import read_caption
from tests.explore.explaining import noise, small_pipeline

CAPTION = "a red kite glides over the beach"  # "glides" falls into pieces


@pytest.fixture(scope="module")
def pipeline():
    return small_pipeline(seed=2)


@pytest.fixture(scope="module")
def maps(pipeline):
    return attention_maps(pipeline, CAPTION, noise())


def eager_weights(model, run):
    """What transformers' own attention returns, layer by layer: [layers, heads, T, T]."""
    found, before = [], model.network.bert.config._attn_implementation
    hooks = [
        part.register_forward_hook(lambda _, __, output: found.append(output[1][0]))
        for part in model.modules()
        if isinstance(part, BertSelfAttention)
    ]
    model.network.bert.config._attn_implementation = "eager"
    try:
        with torch.no_grad():
            run()
    finally:
        model.network.bert.config._attn_implementation = before
        for hook in hooks:
            hook.remove()
    return torch.stack(found)


@pytest.mark.parametrize("architecture", ["snp", "three_fusion"])
def test_both_roles_equal_what_transformers_computes(architecture):
    pipeline = small_pipeline(seed=3, architecture=architecture, cross_layers=1)
    model, frames = pipeline.model, noise()
    maps = attention_maps(pipeline, CAPTION, frames)
    batch, _, _ = read_caption(pipeline.tokenizer, CAPTION)
    ids, mask = batch.input_ids, batch.attention_mask
    bert = model.network.bert
    bert.config._attn_implementation = "eager"
    with torch.no_grad():
        output = bert(input_ids=ids, attention_mask=mask, output_attentions=True)
        clips = model.encode_video(frames[None]).clip_tokens
    bert.config._attn_implementation = "sdpa"
    torch.testing.assert_close(maps.alone.weights, torch.cat(output.attentions))
    together = eager_weights(model, lambda: model.network.cross_modal_pass(ids, mask, clips))
    torch.testing.assert_close(maps.together.weights, together)


def test_rows_are_probabilities_of_every_layer_and_head(maps):
    for one, more in ((maps.alone, 0), (maps.together, 3)):  # two clips and [SEP]
        tokens = len(maps.alone.tokens) + more
        assert one.weights.shape == (2, 2, tokens, tokens)
        assert one.weights.dtype == torch.float32
        assert bool((one.weights >= 0).all())
        torch.testing.assert_close(one.weights.sum(-1), torch.ones(2, 2, tokens))
        assert len(one.tokens) == len(one.words) == tokens


def test_tokens_are_labelled(maps):
    pieces = [token for token, word in zip(maps.alone.tokens, maps.alone.words, strict=True)
              if word == 3]  # fmt: skip
    assert len(pieces) > 1
    assert "".join(piece.removeprefix("##") for piece in pieces) == "glides"
    assert maps.alone.tokens[:4] == ["[CLS]", "a", "red", "kite"]
    assert maps.alone.tokens[-1] == "[SEP]"
    assert maps.alone.words[0] == maps.alone.words[-1] == -1
    assert maps.together.tokens == [*maps.alone.tokens, "clip 1", "clip 2", "[SEP]"]
    assert maps.together.words[-4:] == [-1] * 4


def test_a_head_or_the_mean_over_heads(maps):
    heads = maps.together.weights[1]
    assert torch.equal(maps.together.matrix(1, 0), heads[0])
    torch.testing.assert_close(maps.together.matrix(1), (heads[0] + heads[1]) / 2)


def test_the_shared_network_runs_the_same_parameters_in_both_roles(pipeline, maps):
    assert maps.alone.names == ["network.bert.encoder.layer.0", "network.bert.encoder.layer.1"]
    assert maps.together.names == maps.alone.names
    assert maps.together.modules[1] is pipeline.model.network.bert.encoder.layer[1]
    assert all(map(maps.shares_weights, range(2)))
    assert not maps.shares_weights(2)
    assert "same parameters" in maps.note


def test_three_fusion_runs_a_separate_encoder():
    pipeline = small_pipeline(seed=2, architecture="three_fusion", cross_layers=3)
    maps = attention_maps(pipeline, CAPTION, noise())
    assert maps.alone.weights.shape[0] == 2
    assert maps.together.weights.shape[0] == 3
    assert maps.together.names[0] == "network.separate_encoder.layer.0"
    assert not any(map(maps.shares_weights, range(3)))
    assert "separate encoder" in maps.note


def test_equal_copies_are_not_called_shared():
    pipeline = small_pipeline(seed=2, architecture="three_fusion", cross_layers=2)
    network = pipeline.model.network
    network.separate_encoder.load_state_dict(network.bert.encoder.state_dict())
    assert not attention_maps(pipeline, CAPTION, noise()).shares_weights(0)


def test_a_twin_tower_has_the_caption_alone():
    pipeline = small_pipeline(architecture="twin_tower", tasks=("text_mlm", "gvtm_text_video"))
    maps = attention_maps(pipeline, CAPTION, noise())
    assert maps.together is None
    assert "twin tower" in maps.note
    assert maps.alone.weights.shape[0] == 2
    assert not maps.shares_weights(0)


def test_without_a_video_there_is_the_caption_alone(pipeline, maps):
    alone = attention_maps(pipeline, CAPTION)
    assert alone.together is None
    assert "no video" in alone.note
    assert torch.equal(alone.alone.weights, maps.alone.weights)


def test_a_long_caption_is_cut_and_says_so(pipeline):
    maps = attention_maps(pipeline, "kite " * 40, noise())
    assert len(maps.alone.tokens) == 30
    assert maps.left_out == ["kite"] * 12


def test_no_hook_and_no_mode_is_left_behind(pipeline):
    model = pipeline.model
    model.network.bert.train()
    try:
        first = attention_maps(pipeline, CAPTION, noise())
        second = attention_maps(pipeline, CAPTION, noise())
        assert model.network.bert.training
    finally:
        model.eval()
    assert torch.equal(first.together.weights, second.together.weights)  # dropout was off
    assert not any(part._forward_pre_hooks for part in model.modules())


def test_padded_pictures_are_read_with_their_mask(tmp_path):
    from PIL import Image

    pipeline = small_pipeline(seed=2, image_fit="long", clips=1, frames=1)
    Image.new("RGB", (64, 24), (200, 30, 30)).save(tmp_path / "wide.png")
    maps = attention_maps(pipeline, CAPTION, tmp_path / "wide.png")
    assert maps.together.tokens[-2:] == ["clip 1", "[SEP]"]


@pytest.mark.parametrize("caption", ["", "   ", "\n"])
def test_a_caption_without_a_word_is_refused(pipeline, caption):
    with pytest.raises(UserError):
        attention_maps(pipeline, caption, noise())


def test_bad_videos_are_refused_in_one_sentence(pipeline, tmp_path):
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(VideoError, match=r"text\.mp4"):
        attention_maps(pipeline, CAPTION, tmp_path / "text.mp4")
    with pytest.raises(UserError, match="uint8"):
        attention_maps(pipeline, CAPTION, noise()[0])
    with pytest.raises(UserError, match="float32"):
        attention_maps(pipeline, CAPTION, noise().float())


def test_text_that_is_no_text_stays_readable(pipeline):
    assert attention_maps(pipeline, "kite \ud83d").alone.tokens[1] == "kite"
