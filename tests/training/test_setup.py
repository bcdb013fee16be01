"""From a recipe and a manifest to a trained model: the real model through the real loop."""

from dataclasses import replace

import pytest
import torch
from training_toys import same_weights
from transformers import BertConfig, BertModel, ResNetConfig, ResNetForImageClassification

import snpkit
from snpkit.commands.evaluate import _limits
from snpkit.data.samples import Manifest
from snpkit.data.synthetic import generate_corpus
from snpkit.errors import CheckpointError, UserError
from snpkit.language.significance import SignificanceTable
from snpkit.language.tokenizer import load_tokenizer
from snpkit.model.pretraining import SNPForPreTraining
from snpkit.training.history import read_history
from snpkit.training.loop import pretrain
from snpkit.training.recipe import get_recipe, override
from snpkit.training.setup import prepare

SMALL = {
    "data.batch_size": 8, "data.size": 32, "data.frames": 2, "data.vocabulary_size": 300,
    "model.hidden_size": 32, "model.num_hidden_layers": 2, "model.num_attention_heads": 2,
    "model.intermediate_size": 64, "optimisation.total_steps": 8, "optimisation.warmup_steps": 2,
    "evaluation.log_every": 1, "evaluation.every": 4, "evaluation.checkpoint_every": 4,
}
# What draws random numbers inside the model, keeps queues, or reads a false caption.
RESTLESS = {
    "model.hidden_dropout_prob": 0.1, "model.itm": True, "model.level1": "moco",
    "model.moco_queue": 32, "model.attentive_masking": 0.5, "optimisation.micro_batch": 3,
}


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    return generate_corpus(tmp_path_factory.mktemp("corpus"), train=24, validation=8, test=2,
                           size=32, seconds=1.0, workers=1, progress=False)


def small(**changes):
    return override(get_recipe("laptop"), {**SMALL, **changes})


def train(recipe, manifest, folder, **settings):
    setup = prepare(recipe, manifest, progress=False)
    settings = {"device": "cpu", "progress": False, "evaluate": setup.evaluation} | settings
    result = pretrain(setup.model, setup.batches, recipe, output=folder, table=setup.table,
                      tokenizer=setup.tokenizer, **settings)
    return setup, result


def test_the_checkpoint_is_the_trained_model_with_all_it_needs(manifest, tmp_path):
    setup, result = train(small(), manifest, tmp_path)
    loaded = SNPForPreTraining.from_pretrained(tmp_path / "last")
    assert same_weights(loaded, setup.model)
    assert load_tokenizer(tmp_path / "last").get_vocab() == setup.tokenizer.get_vocab()
    table = SignificanceTable.load(tmp_path / "last/significance.json")
    assert table.significant_words == setup.table.significant_words
    assert result.best["matching.text_to_video.r10"] > 0
    losses = [line["losses"] for line in read_history(tmp_path) if "loss" in line]
    assert len(losses) == 8
    assert all(set(loss) == {"text_mlm", "cross_mlm", "gvtm_text_video", "gvtm_cross_modal",
                             "lvwm"} for loss in losses)


@pytest.mark.parametrize("published", [False, True])
def test_a_table_mined_before_is_taken(manifest, tmp_path, monkeypatch, published):
    path = tmp_path / "table.json"
    mined = SignificanceTable.mine(["the red kite falls", "a red ball spins"], top_k=3)
    if published:
        mined.write_reference(path, ["[PAD]", *mined.entries])
    else:
        mined.save(path)
    monkeypatch.setattr(SignificanceTable, "mine", None)
    recipe = small(**{"significance.top_k": 2})
    table = prepare(recipe, manifest, significance=path, progress=False).table
    words = ["red", "ball", "falls"]
    assert table.significant_words == (words[:2] if published else words)
    tuning = override(get_recipe("laptop_retrieval"), {"data.size": 32, "data.batch_size": 8})
    found = prepare(tuning, manifest, start=None, significance=path, progress=False).table
    assert set(found.entries) == set(mined.entries)
    mined.top_k = 0
    mined.save(path)
    with pytest.raises(UserError, match=r"table\.json holds no significant word"):
        prepare(recipe, manifest, significance=path, progress=False)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("changes", [{}, RESTLESS], ids=["laptop", "restless"])
def test_the_real_model_resumes_bit_for_bit(manifest, tmp_path, precision, changes):
    recipe = small(**{**changes, "optimisation.precision": precision})
    whole, _ = train(recipe, manifest, tmp_path / "whole")

    class Killed(BaseException):
        pass

    def kill(model, step):
        if step == 8:
            raise Killed
        return {"matching.text_to_video.r10": 1.0}

    with pytest.raises(Killed):
        train(recipe, manifest, tmp_path / "cut", evaluate=kill)
    torch.manual_seed(99)
    resumed, result = train(recipe, manifest, tmp_path / "cut", resume=True)
    assert result.step == 8
    assert same_weights(resumed.model, whole.model)


def test_a_run_is_measured_with_as_many_clips_as_its_recipe_says(manifest, tmp_path):
    recipe = small(**{"evaluation.clips": 5})
    setup, _ = train(recipe, manifest, tmp_path)
    assert setup.held_out[0]["frames"].shape[0] == 5
    batch, _ = next(iter(setup.batches))
    assert batch["pixel_values"].shape[1] == 2
    # `snpkit evaluate` takes as many, unless it is asked for others.
    pipeline = snpkit.load(tmp_path / "last", device="cpu")
    assert pipeline.model.config.clips == 2
    assert _limits(pipeline, None, None) == (30, 5) and _limits(pipeline, 9, 7) == (9, 7)
    plain = snpkit.load("laptop", device="cpu")
    assert _limits(plain, None, None)[1] == plain.model.config.clips
    with pytest.raises(UserError, match=r"evaluation\.clips is 64; this model takes 1 to 63"):
        prepare(small(**{"evaluation.clips": 64}), manifest, progress=False)
    with pytest.raises(UserError, match=r"evaluation\.clips is 0; it should be greater"):
        small(**{"evaluation.clips": 0})


def test_a_run_that_drew_captions_goes_on_only_so(manifest, tmp_path):
    """Also one from before there was a choice, whose recipe.json does not say."""
    rows = [replace(row, id=f"{row.id}-{n}", caption=f"{row.caption} {word}")
            for row in manifest.rows for n, word in enumerate(("here", "there"))]
    twice = Manifest(manifest.root, rows)
    captions = small(**{"data.draw": "captions", "optimisation.total_steps": 4})
    whole, _ = train(captions, twice, tmp_path / "whole")
    train(captions, twice, tmp_path / "cut",
          evaluate=lambda model, step: {"matching.text_to_video.r10": 1.0})
    with pytest.raises(UserError, match=r"resume with data\.draw=captions"):
        train(small(**{"optimisation.total_steps": 4}), twice, tmp_path / "cut", resume=True)
    resumed, result = train(captions, twice, tmp_path / "cut", resume=True)
    assert result.step == 4 and same_weights(resumed.model, whole.model)


def test_weights_depend_on_the_seed_alone(manifest):
    torch.manual_seed(1)
    first = prepare(small(), manifest, progress=False)
    torch.manual_seed(2)
    assert same_weights(first.model, prepare(small(), manifest, progress=False).model)
    other = prepare(small(seed=1), manifest, progress=False)
    assert not same_weights(first.model, other.model)


def test_wrong_parts_are_one_sentence(manifest):
    with pytest.raises(UserError, match="has no split 'trian'"):
        prepare(small(), manifest, train="trian", progress=False)
    with pytest.raises(UserError, match="smaller batch size"):
        prepare(small(**{"data.batch_size": 64}), manifest, progress=False)


def test_without_held_out_clips_there_is_no_evaluation(manifest, tmp_path):
    setup = prepare(small(), manifest, held_out=None, progress=False)
    assert setup.evaluation is None
    result = pretrain(setup.model, setup.batches, small(), output=tmp_path, device="cpu",
                      progress=False)
    assert result.best == {} and not (tmp_path / "best").exists()
    assert (tmp_path / "last").is_dir()


@pytest.fixture(scope="module")
def weights_of_others(tmp_path_factory):
    """Folders as a hub's download leaves them: a BERT with its vocabulary, and a ResNet."""
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnopqrstuvwxyz"]
    words += [f"##{letter}" for letter in words[5:]]
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    bert = BertModel(BertConfig(vocab_size=len(words), intermediate_size=48, **sizes))
    bert.save_pretrained(folder / "bert")
    (folder / "bert/vocab.txt").write_text("\n".join(words) + "\n")
    resnet = ResNetForImageClassification(ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 8, 16, 16], depths=[1, 1, 1, 1], num_labels=5
    ))  # fmt: skip
    resnet.save_pretrained(folder / "resnet")
    return folder, bert, resnet


def subset_of(folder, **changes):
    given = {
        "model.text_pretrained": str(folder / "bert"), "model.vision": str(folder / "resnet"),
        "model.vision_pretrained": str(folder / "resnet"), "data.size": 32, "data.workers": 0,
        "data.batch_size": 8, "optimisation.micro_batch": 4,
    }  # fmt: skip
    return override(get_recipe("gpu_subset"), given | changes)


def test_gpu_subset_starts_both_sides_from_local_weights(weights_of_others, manifest, tmp_path):
    folder, bert, resnet = weights_of_others
    setup = prepare(subset_of(folder), manifest, progress=False)
    text, vision = setup.model.network.bert, setup.model.video.encoder.backbone
    assert all(torch.equal(own, value) for own, value in zip(
        text.state_dict().values(), bert.state_dict().values(), strict=True))  # fmt: skip
    theirs = resnet.resnet.state_dict()
    assert all(torch.equal(value, theirs[name]) for name, value in vision.state_dict().items())
    assert setup.model.config.vision_frozen_norms
    assert len(setup.tokenizer) == bert.config.vocab_size
    recipe = subset_of(folder, **{"optimisation.total_steps": 1})
    _, result = train(recipe, manifest, tmp_path, evaluate=None)
    assert result.step == 1 and not result.skipped


def test_weights_of_another_shape_are_refused(weights_of_others, manifest):
    folder, *_ = weights_of_others
    recipe = subset_of(folder, **{"model.vision": "resnet50"})
    with pytest.raises(CheckpointError, match=r"do not fit|Cannot load"):
        prepare(recipe, manifest, progress=False)


@pytest.mark.parametrize("field", ["text_pretrained", "vision_pretrained"])
def test_without_a_network_one_sentence_says_how(field, weights_of_others, manifest, monkeypatch):
    folder, *_ = weights_of_others
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    recipe = subset_of(folder, **{f"model.{field}": "somebody/some-model"})
    with monkeypatch.context() as patch:
        patch.setattr("snpkit.weights.find_file", lambda *_: None)
        with pytest.raises(UserError, match="hf download somebody/some-model") as caught:
            prepare(recipe, manifest, progress=False)
    assert f"--set model.{field}=DIR" in str(caught.value) and "\n" not in str(caught.value)
    start = subset_of(folder, **{"model.text_pretrained": None})
    assert prepare(start, manifest, text=str(folder / "bert"), progress=False) is not None


def test_first_weights_of_the_text_side_are_for_pre_training():
    with pytest.raises(UserError, match="fine-tune from --start"):
        override(get_recipe("laptop_qa"), {"model.text_pretrained": "bert-base-uncased"})
