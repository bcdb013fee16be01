"""`snpkit convert`: a published checkpoint becomes a folder that opens and answers the same."""

import json
import os

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import snpkit
from snpkit.cli import main
from snpkit.model.downstream import (
    SNPForMultipleChoice,
    SNPForQuestionAnswering,
    SNPForRetrieval,
)
from snpkit.model.pretraining import SNPForPreTraining
from tests.benchmarks.straightforward import TEXT, cross_pass, linear, video_pass
from tests.model.cases import TIGHT, double, random_batch, random_weights, small_config
from tests.model.published_models import ANSWERS, as_saved, fine_tuned
from tests.model.published_vision import convolution, fill, resnet_shapes
from tests.video.films import write_film

CONFIG = small_config()  # 24 wide, 3 heads, 150 words
WORDS = ["what", "is", "it", "a", "red", "film"]


@pytest.fixture
def words(tmp_path):
    """A tokenizer with BERT's special tokens at BERT's places."""
    entries = ["[PAD]", *(f"[unused{n}]" for n in range(99)), "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    entries += WORDS + [f"word{n}" for n in range(CONFIG.vocab_size - len(entries) - len(WORDS))]
    (tmp_path / "words").mkdir()
    (tmp_path / "words" / "vocab.txt").write_text("\n".join(entries))
    return tmp_path / "words"


@pytest.fixture
def labels(tmp_path):
    path = tmp_path / "train_ans2label.json"
    path.write_text(json.dumps({answer: n for n, answer in reversed([*enumerate(ANSWERS)])}))
    return path


def save(path, weights, prefix="module.", **beside):
    """As training saves it: the model's state beside the optimiser's and some numbers."""
    parameter = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.AdamW([parameter])
    parameter.sum().backward()
    optimizer.step()
    single = {name: value.float() for name, value in weights.items()}
    state = {"model": as_saved(single, prefix, moco=True), "optimizer": optimizer.state_dict(),
             "current_iteration": 9, "best_metric_value": torch.tensor(0.5)}  # fmt: skip
    torch.save(state | beside, path)
    return path


@pytest.fixture
def run(tmp_path, words, capsys):
    def convert(checkpoint, *options, heads="3", tokenizer=words):
        capsys.readouterr()
        fixed = ["-o", tmp_path / "new", "--heads", heads, "--tokenizer", tokenizer]
        status = main([str(part) for part in ("convert", checkpoint, *fixed, *options)])
        said = capsys.readouterr()
        return status, said.out, said.err

    return convert


def opened(folder):
    pipeline = snpkit.load(folder, device="cpu")
    pipeline.model.double()
    return pipeline


@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_model_that_answers(tmp_path, run, labels, prefix):
    weights = fine_tuned(CONFIG, "qa")
    status, said, _ = run(save(tmp_path / "best.ckpt", weights, prefix), "--labels", labels)
    assert status == 0 and "SNPForQuestionAnswering" in said and "--labels" not in said
    pipeline = opened(tmp_path / "new")
    model, config = pipeline.model, pipeline.model.config
    assert type(model) is SNPForQuestionAnswering and model.answers == list(ANSWERS)
    assert (config.text_mlm, config.answer_head) == ("unmasked", "linear")
    assert config.logit_scale is None and (config.clips, config.frames) == (16, 1)
    assert (config.image_size, config.image_fit) == (448, "long")
    assert (config.cls_token_id, config.sep_token_id, config.mask_token_id) == (101, 102, 103)
    assert pipeline.table is None and pipeline.training["converted_from"] == "best.ckpt"
    assert pipeline.tokenizer.decode(pipeline.tokenizer("a red film").input_ids) == (
        "[CLS] a red film [SEP]"
    )
    batch = random_batch(CONFIG)
    known = double({name: value.float() for name, value in weights.items()})
    tokens, _ = video_pass(known, batch["pixel_values"], batch["pixel_mask"])
    pooled = cross_pass(known, batch["input_ids"], batch["attention_mask"], tokens, 3)[2]
    names = ("input_ids", "attention_mask", "pixel_values", "pixel_mask")
    logits = model({name: batch[name] for name in names}).logits
    torch.testing.assert_close(logits, linear(known, "model.clf", pooled), **TIGHT)


@pytest.mark.parametrize(("made_for", "asked", "kind"), [
    ("pretraining", "auto", SNPForPreTraining), ("retrieval", "auto", SNPForRetrieval),
    ("multichoice", "multichoice", SNPForMultipleChoice), ("qa", "qa", SNPForQuestionAnswering),
])  # fmt: skip
def test_every_task_in_every_kind_of_file(tmp_path, run, made_for, asked, kind):
    weights = random_weights(CONFIG) if made_for == "pretraining" else fine_tuned(CONFIG, made_for)
    save_file({name: value.float() for name, value in weights.items()}, tmp_path / "w.safetensors")
    torch.save(weights, tmp_path / "w.bin")
    found = []
    for path in (tmp_path / "w.safetensors", tmp_path / "w.bin", save(tmp_path / "w.pth", weights)):
        status, said, complaint = run(path, "--task", asked)
        assert status == 0, complaint
        assert ("called by their numbers; give --labels" in said) == (made_for == "qa")
        pipeline = opened(tmp_path / "new")
        assert type(pipeline.model) is kind
        assert pipeline.model.config.choice_score == "cross_modal"
        found.append(pipeline.model.state_dict())
        (tmp_path / "new").rename(tmp_path / path.suffix)
    words = weights[f"{TEXT}embeddings.word_embeddings.weight"].float().double()
    for state in found:
        assert torch.equal(state["network.bert.embeddings.word_embeddings.weight"], words)
        assert all(torch.equal(state[name], value) for name, value in found[0].items())


def test_a_converted_model_watches_a_film(tmp_path, run, labels):
    weights = fine_tuned(CONFIG, "qa") | fill(resnet_shapes() | convolution(2048, 24))
    shown = ("--labels", labels, "--clips", "2", "--size", "64", "--fit", "crop")
    status, said, complaint = run(save(tmp_path / "best.ckpt", weights), *shown)
    assert status == 0, complaint
    assert "snp with resnet50, 2 x 1 frames of 64 px" in said
    pipeline = snpkit.load(tmp_path / "new", device="cpu")
    film = write_film(tmp_path / "film.mp4", 8)
    assert torch.equal(pipeline.read(film), snpkit.read_clips(film, 2, size=64, middle="lower"))
    answers = pipeline.answer("what is it", film)
    assert sorted(name for name, _ in answers) == sorted(ANSWERS)
    assert sum(share for _, share in answers) == pytest.approx(1)


class Harmful:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_a_file_that_would_run_code_is_refused_and_does_not(tmp_path, run):
    weights = fine_tuned(CONFIG, "qa")
    for number, thing in enumerate((Harmful(tmp_path / "ran"), np.float64(0.5))):
        path = save(tmp_path / f"{number}.ckpt", weights, best_metric_value=thing)
        status, _, said = run(path)
        assert status == 2 and said.count("\n") == 1
        assert f"{path} is refused, as it holds more than weights" in said
        assert 'weights_only=False)["model"], "w.pth")' in said
        assert not (tmp_path / "ran").exists() and not (tmp_path / "new").exists()
    # What the sentence advises is read.
    torch.save(torch.load(path, weights_only=False)["model"], tmp_path / "w.pth")
    assert run(tmp_path / "w.pth")[0] == 0


def test_mistakes_are_one_sentence_and_nothing_is_written(tmp_path, run, labels, words):
    good = fine_tuned(CONFIG, "qa")
    ours = "encoder.layer.1.output.dense.weight"
    name = TEXT + ours
    damaged = {"shape": good | {name: good[name][:, 1:]}, "more": good | {"model.x": good[name]},
               "other": {"layer.weight": torch.ones(3)},
               "less": {n: v for n, v in good.items() if n != name}}  # fmt: skip
    files = {which: save(tmp_path / f"{which}.pth", w) for which, w in damaged.items()}
    whole = save(tmp_path / "whole.pth", good)
    (tmp_path / "cut.pth").write_bytes(whole.read_bytes()[:5000])
    (tmp_path / "none.pth").write_bytes(b"no weights at all")
    (tmp_path / "three.json").write_text('{"a": 0, "b": 1, "c": 2}')
    (tmp_path / "few").mkdir()
    (tmp_path / "few" / "vocab.txt").write_text((words / "vocab.txt").read_text() + "\nmore")
    three, few = tmp_path / "three.json", {"tokenizer": tmp_path / "few"}
    for arguments, options, expected in (
        ([files["shape"]], {}, f"another shape ['network.bert.{ours} (24, 39) inst"),
        ([files["more"]], {}, "unknown names: ['module.model.x']"),
        ([files["less"]], {}, f"missing ['network.bert.{ours}']"),
        ([files["other"]], {}, "other.pth cannot be converted: The weights lack a BERT"),
        ([tmp_path / "cut.pth"], {}, "Cannot read the weights in"),
        ([tmp_path / "none.pth"], {}, "Cannot read the weights in"),
        ([tmp_path / "absent.pth"], {}, "There is no file"),
        ([whole, "--labels", three], {}, "three.json names 3 answers, but the weights know 5"),
        ([whole, "--labels", tmp_path / "absent"], {}, "absent"),
        ([whole], few, "has 151 entries, but the weights know 150"),
        ([whole], {"heads": "5"}, "5 heads cannot share 24 numbers; say how many."),
        ([whole, "--task", "retrieval"], {}, "do not fit"),
        ([whole, "--task", "retrieval", "--labels", labels], {}, "or has no answers"),
        ([whole, "--clips", "0"], {}, "SNPConfig.clips is 0"),
        ([whole, "--clips", "20"], {}, "this model takes 1 to 19 clips"),
        ([whole, "--size", "0"], {}, "--size is 0"),
        ([whole, "--vision", "resnet50"], {}, "missing"),
    ):
        before = sorted(tmp_path.iterdir())
        status, _, said = run(*arguments, **options)
        assert (status, said.count("\n")) == (2, 1), (arguments, said)
        assert expected in said, said
        assert sorted(tmp_path.iterdir()) == before


def test_a_folder_that_is_there_stays_as_it_is(tmp_path, run):
    whole = save(tmp_path / "whole.pth", fine_tuned(CONFIG, "qa"))
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "mine.txt").write_text("mine")
    status, _, said = run(whole)
    assert status == 2 and "new is there already; name another folder." in said
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["mine.txt"]
