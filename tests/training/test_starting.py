"""`snpkit pretrain` starts from a BERT directory (--text) or from a checkpoint (--start)."""

import pytest
import torch
from training_toys import same_weights
from transformers import BertConfig, BertModel

import snpkit
from snpkit.data.samples import sample_manifest
from snpkit.errors import UserError
from snpkit.language.tokenizer import train_tokenizer
from snpkit.training.recipe import get_recipe, override
from snpkit.training.setup import prepare

SPLITS = {"train": "samples", "held_out": "real", "progress": False}


def small(**changes):
    return override(get_recipe("laptop"), {"data.batch_size": 4} | changes)


def test_the_shared_network_starts_from_the_given_bert(tmp_path):
    manifest = sample_manifest()
    tokenizer = train_tokenizer([row.caption for row in manifest.rows], 300)
    torch.manual_seed(1)
    bert = BertModel(BertConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
        intermediate_size=48, max_position_embeddings=40,
    ))  # fmt: skip
    bert.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    recipe = small(**{"data.size": 32})
    setup = prepare(recipe, manifest, text=str(tmp_path), **SPLITS)
    assert setup.model.config.hidden_size == 32
    own = setup.model.network.bert.state_dict()
    for name, value in bert.state_dict().items():
        assert torch.equal(own[name], value), name
    batch, files = next(iter(setup.batches))
    loss = setup.model(batch).loss
    assert loss.isfinite() and len(files) == 4


def test_a_run_goes_on_from_the_weights_words_and_settings_of_a_checkpoint():
    given = snpkit.load("laptop", device="cpu")
    # Another model section is not read, and more clips are only more tokens.
    recipe = small(**{"model.hidden_size": 64, "data.clips": 3})
    setup = prepare(recipe, sample_manifest(), start="laptop", **SPLITS)
    assert same_weights(setup.model, given.model)
    assert setup.tokenizer.get_vocab() == given.tokenizer.get_vocab()
    assert (setup.model.config.hidden_size, setup.model.config.clips) == (128, 3)
    # The checkpoint cannot say how attention is computed; the recipe does, for all parts.
    parts = (setup.model.config, setup.model.network.bert.config, setup.model.video.config)
    assert [part._attn_implementation for part in parts] == ["eager"] * 3
    batch, _ = next(iter(setup.batches))
    assert batch["pixel_values"].shape[1] == 3
    setup.model(batch).loss.backward()
    assert given.model.config.clips == 2  # the checkpoint's own configuration stays


def test_what_cannot_be_gone_on_from_is_one_sentence(tmp_path):
    manifest = sample_manifest()
    with pytest.raises(UserError, match="choose one of the two"):
        prepare(small(), manifest, start="laptop", text="bert", **SPLITS)
    with pytest.raises(UserError, match="trained on 4 frames of 64 px"):
        prepare(small(**{"data.size": 32}), manifest, start="laptop", **SPLITS)
    from snpkit.checkpoint import save_checkpoint
    from snpkit.model.downstream import SNPForRetrieval, from_pretraining

    given = snpkit.load("laptop", device="cpu")
    tuned = from_pretraining("retrieval", given.model, given.model.config)
    assert isinstance(tuned, SNPForRetrieval)
    folder = save_checkpoint(tmp_path / "tuned", tuned, training={"step": 1},
                             tokenizer=given.tokenizer, table=given.table)  # fmt: skip
    with pytest.raises(UserError, match="is a SNPForRetrieval and lacks heads"):
        prepare(small(), manifest, start=folder, **SPLITS)
