"""Checkpoints of strangers: no code of theirs runs, and nothing outside their folder is read."""

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import ResNetConfig, ResNetModel

import snpkit
from snpkit.errors import CheckpointError, UserError
from snpkit.loading import load_model
from snpkit.model.config import SNPConfig
from snpkit.model.pretraining import SNPForPreTraining
from snpkit.model.vision.backbones import KINDS, _checked_config, build_backbone
from snpkit.weights import bounded, find_file, match, read_weights
from tests.model.cases import small_config

TINY_RESNET = {"embedding_size": 4, "hidden_sizes": [4, 8, 8, 16], "depths": [1, 2, 1, 1]}


class Harmful:
    """Unpickled, it makes a file."""

    def __init__(self, touched: Path) -> None:
        self.touched = touched

    def __reduce__(self):
        return Path.touch, (self.touched,)


def encoder(folder: Path, **changes) -> Path:
    """A saved backbone; `changes` go into its config.json (None = the entry goes)."""
    ResNetModel(ResNetConfig(**TINY_RESNET)).save_pretrained(folder)
    return rewrite(folder, **changes)


def checkpoint(folder: Path, **changes) -> Path:
    """A saved model; `changes` go into its config.json."""
    SNPForPreTraining(small_config()).save_pretrained(folder)
    return rewrite(folder, **changes)


def rewrite(folder: Path, **changes) -> Path:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return folder


def one_sentence(refusal: pytest.ExceptionInfo) -> str:
    sentence = str(refusal.value)
    assert "\n" not in sentence and len(sentence) < 700
    return sentence


STRANGE_CODE = "import pathlib; pathlib.Path({marker!r}).touch()\n"
LOAD_ALL = """
import sys, snpkit
from snpkit.language.tokenizer import load_tokenizer
from snpkit.model.vision.backbones import build_backbone
from snpkit.model.config import SNPConfig
from snpkit.model.pretrained_text import config_from_bert, load_text_weights
folder = sys.argv[1]
loads = {
    "x": [
        lambda: build_backbone(SNPConfig(vision=folder)),
        lambda: build_backbone(SNPConfig(vision="resnet50", vision_pretrained=folder)),
        lambda: load_tokenizer(folder),
        lambda: snpkit.load(folder),
    ],
    "resnet": [lambda: build_backbone(SNPConfig(vision=folder))],
    "bert": [lambda: config_from_bert(folder)],
    "snpkit": [
        lambda: snpkit.load(folder),
        lambda: snpkit.SNPForPreTraining.from_pretrained(folder),
    ],
}
for kind, calls in loads.items():
    path = folder + "/config.json"
    text = open(path).read()
    open(path, "w").write(text.replace('"KIND"', f'"{kind}"'))
    for call in calls:
        try:
            call()
        except snpkit.errors.UserError as error:
            print("refused:", error)
    open(path, "w").write(text)
print("left:", sys.stdin.read(4))
"""


def test_code_beside_a_config_never_runs_and_nothing_is_asked(tmp_path) -> None:
    folder = encoder(tmp_path / "stranger")
    marker = str(tmp_path / "ran")
    for name in ("modeling_x.py", "configuration_x.py", "tokenization_x.py"):
        (folder / name).write_text(STRANGE_CODE.format(marker=marker))
    names = ("AutoConfig", "AutoModel", "AutoBackbone", "AutoTokenizer")
    code = {"AutoConfig": "configuration_x.X", "AutoTokenizer": ["tokenization_x.X", None]}
    auto_map = {name: code.get(name, "modeling_x.X") for name in names}
    rewrite(folder, model_type="KIND", auto_map=auto_map)
    (folder / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nword\n")
    settings = {"auto_map": auto_map, "tokenizer_class": "X"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hub")}
    done = subprocess.run(
        [sys.executable, "-c", LOAD_ALL, folder], input="y\ny\n", text=True, env=environment,
        capture_output=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert not Path(marker).exists()
    assert done.stdout.endswith("left: y\ny\n\n"), done.stdout  # nothing was read from stdin
    assert "[y/N]" not in done.stdout + done.stderr


def outside(tmp_path: Path) -> Path:
    """A file of weights that is not the checkpoint's."""
    secret = tmp_path / "secret"
    secret.mkdir()
    save_file({"norm.weight": torch.ones(2)}, secret / "w.safetensors")
    return secret / "w.safetensors"


@pytest.mark.parametrize("reads", ["read_weights", "from_pretrained", "backbone"])
@pytest.mark.parametrize(
    "name",
    ["../secret/w.safetensors", "{absolute}", "sub/../../secret/w.safetensors",
     "..\\secret\\w.safetensors", "pytorch_model.bin", "..", "", None, 3, ["x.safetensors"],
     "missing.safetensors", "link.safetensors"],
)  # fmt: skip
def test_an_index_names_nothing_but_shards_beside_it(name, reads, tmp_path) -> None:
    secret = outside(tmp_path)
    folder = (checkpoint if reads == "from_pretrained" else encoder)(tmp_path / "stranger")
    (folder / "model.safetensors").unlink()
    (folder / "sub").mkdir()
    (folder / "link.safetensors").symlink_to(secret)
    torch.save({"norm.weight": torch.ones(2)}, folder / "pytorch_model.bin")
    name = str(secret) if name == "{absolute}" else name
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": {"norm.weight": name}}))
    calls = {
        "read_weights": lambda: read_weights(folder),
        "from_pretrained": lambda: SNPForPreTraining.from_pretrained(folder),
        "backbone": lambda: build_backbone(SNPConfig(vision=str(folder))),
    }
    with pytest.raises(CheckpointError) as refusal:
        calls[reads]()
    sentence = one_sentence(refusal)
    assert "names" in sentence or "link that leads out" in sentence


@pytest.mark.parametrize("content", ["[]", "{}", '{"weight_map": []}', "3", "{"])
def test_an_index_of_another_form_is_one_sentence(content, tmp_path) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(content)
    with pytest.raises(UserError) as refusal:
        read_weights(tmp_path)
    assert "index.json" in one_sentence(refusal)


def test_shards_are_put_together(tmp_path) -> None:
    save_file({"a": torch.ones(2)}, tmp_path / "one.safetensors")
    save_file({"b": torch.zeros(3)}, tmp_path / "two.safetensors")
    index = {"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    assert {name: len(value) for name, value in read_weights(tmp_path).items()} == {"a": 2, "b": 3}


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
@pytest.mark.parametrize("kind", ["checkpoint", "encoder"])
def test_a_link_out_of_the_folder_is_refused(kind, name, tmp_path) -> None:
    make = {"checkpoint": checkpoint, "encoder": encoder}[kind]
    folder, elsewhere = make(tmp_path / "stranger"), make(tmp_path / "elsewhere")
    (folder / name).unlink()
    (folder / name).symlink_to(elsewhere / name)
    with pytest.raises(CheckpointError, match="link that leads out") as refusal:
        if kind == "encoder":
            build_backbone(SNPConfig(vision=str(folder)))
        else:
            snpkit.load(folder)
    one_sentence(refusal)
    if kind == "checkpoint":
        with pytest.raises(CheckpointError, match="link that leads out"):
            SNPForPreTraining.from_pretrained(folder)


def test_links_of_the_hubs_cache_are_followed(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    folder = checkpoint(tmp_path / "hub" / "models--a--b" / "snapshots" / "0123")
    blobs = folder.parents[1] / "blobs"
    blobs.mkdir()
    for path in list(folder.iterdir()):
        path.rename(blobs / path.name)
        path.symlink_to(Path("../../blobs") / path.name)
    assert isinstance(load_model(folder), SNPForPreTraining)
    # The same links in a folder that merely looks like it.
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "other"))
    with pytest.raises(CheckpointError, match="link that leads out"):
        load_model(folder)


@pytest.mark.parametrize("make", [checkpoint, encoder])
@pytest.mark.parametrize(
    "named",
    [
        "m.safetensors.index.json",
        "adapter_model.bin",
        "../secret/w.safetensors",
        "pytorch_model.bin",
    ],
)
def test_a_config_names_no_weights(named, make, tmp_path) -> None:
    outside(tmp_path)
    folder = make(tmp_path / "stranger")
    own = load_file(folder / "model.safetensors")
    rewrite(folder, transformers_weights=named)
    table = {"weight_map": {name: "../secret/w.safetensors" for name in own}}
    (folder / "m.safetensors.index.json").write_text(json.dumps(table))
    for name in ("adapter_model.bin", "pytorch_model.bin"):
        torch.save({"x": Harmful(tmp_path / "touched")}, folder / name)
    (folder / "adapter_config.json").write_text(
        json.dumps({"peft_type": "LORA", "base_model_name_or_path": "../secret"})
    )
    if make is encoder:
        model = build_backbone(SNPConfig(vision=str(folder)))
    else:
        model = load_model(folder)
        assert not hasattr(model.config, "transformers_weights")
    loaded = model.state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in own.items())
    assert not (tmp_path / "touched").exists()


@pytest.mark.parametrize("name", ["pytorch_model.bin", "kinetics.pth"])
@pytest.mark.parametrize("legacy", [False, True])
def test_a_pickle_runs_nothing(name, legacy, tmp_path) -> None:
    encoder(tmp_path / "stranger")
    (tmp_path / "stranger" / "model.safetensors").unlink()
    path = tmp_path / "stranger" / name
    harmful = {"state_dict": {"norm.weight": Harmful(tmp_path / "touched")}}
    torch.save(harmful, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(CheckpointError, match="Cannot read the weights") as refusal:
        read_weights(path.parent if name == "pytorch_model.bin" else path)
    assert name in one_sentence(refusal)
    assert not (tmp_path / "touched").exists()


STRANGE = {
    "quantization_config": {"quant_method": "bitsandbytes", "load_in_8bit": True},
    "auto_map": {"AutoModel": "x.X"},
    "fusion_config": {"x": True},
    "_attn_implementation_internal": "owner/kernel",
    "_experts_implementation": "owner/kernel",
    "experts_implementation": "owner/kernel",
    "kernel_config": {"x": "owner/kernel"},
    "configuration_files": ["config.9.9.9.json"],
    "num_labels": 10**9,
    "use_pretrained_backbone": True,
    "name_or_path": "owner/elsewhere",
}


@pytest.mark.parametrize("make", [checkpoint, encoder])
@pytest.mark.parametrize("entry", STRANGE)
def test_what_is_no_field_is_left_out(entry, make, tmp_path) -> None:
    def load(folder: Path) -> object:
        if make is checkpoint:
            return load_model(folder).config
        return build_backbone(SNPConfig(vision=str(folder))).config

    folder = make(tmp_path)
    expected = getattr(load(folder), entry, None)
    rewrite(folder, **{entry: STRANGE[entry]})
    if make is encoder and entry == "num_labels":
        with pytest.raises(UserError, match="absurd 'num_labels'"):
            load(folder)
    else:
        assert getattr(load(folder), entry, None) == expected != STRANGE[entry]


@pytest.mark.parametrize("kernel", ["owner/kernel", "kernels-community/x:y", {"": "owner/kernel"}])
def test_attention_comes_from_nowhere_else(kernel, tmp_path) -> None:
    folder = checkpoint(tmp_path, attn_implementation=kernel)
    with pytest.raises(CheckpointError, match="attn_implementation") as refusal:
        load_model(folder)
    one_sentence(refusal)
    with pytest.raises(UserError, match="attn_implementation"):
        load_model(checkpoint(tmp_path), attn_implementation=kernel)


ABSURD = [
    {"depths": [10**9, 1, 1, 1]},
    {"depths": [900_000, 1, 1, 1]},
    {"depths": [1] * 5_000, "hidden_sizes": [4] * 5_000},
    {"hidden_sizes": [10**9, 8, 8, 16]},
    {"hidden_sizes": [900_000] * 4},
    {"embedding_size": float("nan")},
    {"embedding_size": -4},
    {"embedding_size": "many"},
    {"hidden_act": "nope"},
    {"depths": 3},
    {"num_channels": 10**30},
    {"dtype": "nope"},
    {"model_type": "timm_backbone", "backbone": "hf-hub:owner/name"},
    {"model_type": "dinov2", "num_hidden_layers": 10**9},
    {"model_type": "dinov2", "num_hidden_layers": 900_000},
    {"model_type": "dinov2", "num_attention_heads": 0},
    {"model_type": "vitdet", "hidden_size": 0},
    {"model_type": ["resnet"]},
]


@pytest.mark.parametrize("sizes", ABSURD, ids=str)
@pytest.mark.parametrize("place", ["its own config.json", "a checkpoint's vision_config"])
def test_sizes_are_checked_before_anything_is_made(sizes, place, tmp_path) -> None:
    described = json.loads((encoder(tmp_path) / "config.json").read_text()) | sizes
    (tmp_path / "model.safetensors").unlink()
    (tmp_path / "config.json").write_text(json.dumps(described))
    named = {} if place.startswith("its") else {"vision_config": described}
    with pytest.raises(UserError) as refusal:
        build_backbone(SNPConfig(vision=str(tmp_path), **named))
    one_sentence(refusal)


@pytest.mark.parametrize(
    "sizes", [{"hidden_size": 3 * 4096}, {"vocab_size": 4_000_000, "hidden_size": 2400}], ids=str
)
def test_a_model_is_not_larger_than_its_weights(sizes, tmp_path) -> None:
    folder = checkpoint(tmp_path, **sizes)
    with pytest.raises(CheckpointError, match=r"more than 1,0\d\d,\d{3},\d{3} numbers"):
        load_model(folder)


def test_a_checkpoint_leads_to_no_other_folder(tmp_path) -> None:
    folder = encoder(tmp_path / "elsewhere")
    stranger = checkpoint(tmp_path / "stranger", vision=str(folder))
    with pytest.raises(CheckpointError, match="says no more of its encoder"):
        load_model(stranger)


def test_parts_and_numbers_are_counted_and_the_count_ends() -> None:
    with bounded(10), torch.device("meta"):
        torch.nn.Linear(2, 3)
        with pytest.raises(UserError, match="more than 10 numbers"):
            torch.nn.Linear(2, 3)
    torch.nn.Linear(20, 30)
    with bounded(), pytest.raises(UserError, match="parts"):
        torch.nn.ModuleList(torch.nn.Identity() for _ in range(60_000))


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_of_backbone_keeps_its_own_description(kind) -> None:
    from transformers import CONFIG_MAPPING

    own = CONFIG_MAPPING[kind]()
    stored = json.loads(own.to_json_string(use_diff=False))
    assert _checked_config(stored, kind).to_dict() == own.to_dict()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_pipe_in_place_of_a_file_is_one_sentence(name, tmp_path) -> None:
    for make in (checkpoint, encoder):
        folder = make(tmp_path / make.__name__)
        (folder / name).unlink()
        os.mkfifo(folder / name)
        with pytest.raises(CheckpointError, match="no regular file") as refusal:
            if make is encoder:
                build_backbone(SNPConfig(vision=str(folder)))
            else:
                snpkit.load(folder)
        assert name in one_sentence(refusal)
    os.mkfifo(tmp_path / "pipe.pth")
    with pytest.raises(CheckpointError):
        read_weights(tmp_path / "pipe.pth")


def test_tensors_are_matched_strictly_by_name_and_shape() -> None:
    own = {name: torch.zeros(2) for name in ("here", "absent", "pooler", "wrong", "twice")}
    stored = [("x.here", "here", torch.ones(2)), ("x.wrong", "wrong", torch.ones(3, 2)),
              ("x.twice", "twice", torch.ones(2)), ("y.twice", "twice", torch.zeros(2)),
              ("x.more", "more", torch.ones(2))]  # fmt: skip
    fitting, faults = match(own, stored, optional=("pooler",))
    assert fitting.keys() == {"here", "twice"} and fitting["twice"].sum() == 2
    assert faults == ["x.wrong (shape [3, 2], not [2])", "y.twice (given twice)",
                      "x.more (unknown)", "absent (missing)"]  # fmt: skip
    assert match(own, [(name, name, value) for name, value in own.items()])[1] == []


def test_a_hub_out_of_reach_is_one_sentence(capfd, monkeypatch):
    def without_network(*_, **__):
        logging.getLogger("huggingface_hub.utils._http").warning("Retrying in 1s [Retry 1/5].")
        raise OSError("no network")

    monkeypatch.setattr("snpkit.weights.cached_file", without_network)
    assert find_file("nobody/nothing", "config.json") is None
    assert capfd.readouterr().err == ""
