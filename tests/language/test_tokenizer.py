"""The tokenizer: repeatable training, words and their pieces, hard captions, clear errors."""

import json
import subprocess
import sys
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from snpkit.errors import UserError
from snpkit.language.tokenizer import (
    SPECIAL_TOKENS,
    encode_captions,
    known_words,
    load_tokenizer,
    train_tokenizer,
    word_spans,
)
from snpkit.text import is_empty

CAPTIONS = [
    "A red kite falls over the beach.",
    "two small dogs are running in the snow",
    "the blue ball bounces on the grass",
    "an umbrella spins above a small house",
    "one dog's café, <b>striped</b> & well-known!",
] * 3


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(CAPTIONS, 600)


@pytest.fixture(scope="module")
def small_tokenizer():
    """So small that most words fall into pieces."""
    return train_tokenizer(CAPTIONS, 70)


def test_special_tokens_have_their_ids(tokenizer):
    ids = tokenizer.convert_tokens_to_ids(list(SPECIAL_TOKENS))
    assert ids == [0, 1, 2, 3, 4]
    assert (tokenizer.pad_token_id, tokenizer.mask_token_id) == (0, 4)
    assert sorted(tokenizer.get_vocab().values()) == list(range(len(tokenizer)))


def test_every_word_of_the_captions_is_one_token(tokenizer):
    batch = encode_captions(tokenizer, CAPTIONS)
    assert (batch.input_ids != tokenizer.unk_token_id).all()
    for words, ids in zip(batch.words, batch.word_ids.tolist(), strict=True):
        assert [i for i in ids if i >= 0] == list(range(len(words)))


def test_the_vocabulary_keeps_its_size_and_its_letters():
    captions = ["".join(chr(0x4E00 + 7 * i + j) for j in range(7)) for i in range(300)]
    tokenizer = train_tokenizer([*captions, *CAPTIONS], 200)
    assert len(tokenizer) <= 200
    # Hundreds of rare characters must not push out the letters of the common words.
    assert tokenizer.unk_token_id not in encode_captions(tokenizer, ["the blue dogs"]).input_ids


def test_a_stream_gives_the_same_vocabulary_as_a_list():
    class Stream:
        passes = 0

        def __iter__(self):
            self.passes += 1
            return iter(CAPTIONS)

    stream = Stream()
    expected = train_tokenizer(CAPTIONS, 200).get_vocab()
    assert train_tokenizer(stream, 200).get_vocab() == expected
    assert train_tokenizer(iter(CAPTIONS), 200).get_vocab() == expected
    assert stream.passes >= 2  # and never held


@pytest.mark.timeout(60)
def test_an_endless_word_costs_no_time_and_changes_nothing():
    endless = ["x" * 10**6, "ab" * 10**6 + " dogs", "\N{DOG FACE}" * 10**6]
    expected = train_tokenizer([*CAPTIONS, "dogs"], 200).get_vocab()
    assert train_tokenizer([*CAPTIONS, *endless], 200).get_vocab() == expected


def test_known_words(tokenizer, small_tokenizer):
    assert known_words(tokenizer, "The BLUE ball, qqq!") == {
        "the": True, "blue": True, "ball": True, "qqq": False
    }  # fmt: skip
    assert known_words(tokenizer, "?!") == known_words(tokenizer, " ") == {}
    pieces = known_words(small_tokenizer, "umbrella \N{KITE}")
    assert pieces == {"umbrella": True, "\N{KITE}": False}
    assert not known_words(small_tokenizer, "umbrella", whole=True)["umbrella"]


def test_training_is_the_same_in_every_process(tmp_path):
    # Many equally frequent pairs: the case in which a plain trainer differs from run to run.
    captions = [" ".join(f"{a}{b}{a}{c}" for a in "abcdef") for b in "ghij" for c in "klmn"]
    script = (
        "import json, sys; from snpkit.language.tokenizer import train_tokenizer;"
        "print(json.dumps(train_tokenizer(json.loads(sys.argv[1]), 120).get_vocab()))"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", script, json.dumps(captions)],
            capture_output=True,
            check=True,
            text=True,
        )
        for _ in range(2)
    ]
    first, second = (json.loads(run.stdout.splitlines()[-1]) for run in runs)
    assert first == second == train_tokenizer(captions, 120).get_vocab()


@pytest.mark.parametrize("files", ["all", "vocab.txt"])
def test_saved_and_loaded_it_is_the_same(tokenizer, tmp_path, files):
    vocabulary = tokenizer.get_vocab()
    if files == "all":
        tokenizer.save_pretrained(tmp_path)
    else:  # a bare vocabulary is enough
        lines = sorted(vocabulary, key=vocabulary.__getitem__)
        (tmp_path / files).write_text("\n".join(lines) + "\n", encoding="utf-8")
    loaded = load_tokenizer(str(tmp_path))
    assert loaded.get_vocab() == vocabulary
    first, second = (encode_captions(t, CAPTIONS) for t in (tokenizer, loaded))
    assert torch.equal(first.input_ids, second.input_ids)
    assert first.words == second.words


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (None, None, "no folder"),
        ("other.txt", "", "holds no tokenizer"),
        ("tokenizer.json", "{", "cannot be read"),
        ("vocab.txt", "[PAD]\n[UNK]\ndog\ncat\nrun\nfly\n", r"lacks \[CLS\], \[SEP\], \[MASK\]"),
        ("vocab.txt", "\n".join(SPECIAL_TOKENS), "lacks words"),
    ],
)
def test_folders_without_a_tokenizer_are_refused(tmp_path, name, content, message):
    folder = tmp_path / "folder"
    if name is not None:
        folder.mkdir()
        (folder / name).write_text(content)
        with pytest.raises(UserError, match="is a file"):
            load_tokenizer(folder / name)
    with pytest.raises(UserError, match=message):
        load_tokenizer(folder)


def test_a_hub_id_is_found_in_the_local_cache(tokenizer, tmp_path, monkeypatch):
    """The layout in which transformers keeps a downloaded model; no network is needed."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    root = tmp_path / "models--someone--small-bert"
    tokenizer.save_pretrained(root / "snapshots" / "0123")
    (root / "refs").mkdir()
    (root / "refs" / "main").write_text("0123")
    assert load_tokenizer("someone/small-bert").get_vocab() == tokenizer.get_vocab()
    with pytest.raises(UserError, match="no folder someone/other"):
        load_tokenizer("someone/other")


def test_a_batch_by_hand(tokenizer):
    batch = encode_captions(tokenizer, ["The blue Ball", "dogs"])
    cls, sep, pad = tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.pad_token_id
    the, blue, ball, dogs = tokenizer.convert_tokens_to_ids(["the", "blue", "ball", "dogs"])
    assert batch.input_ids.tolist() == [[cls, the, blue, ball, sep], [cls, dogs, sep, pad, pad]]
    assert batch.attention_mask.tolist() == [[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]
    assert batch.word_ids.tolist() == [[-1, 0, 1, 2, -1], [-1, 0, -1, -1, -1]]
    assert batch.words == [["the", "blue", "ball"], ["dogs"]]
    assert len(batch) == 2
    moved = batch.to("cpu")
    assert torch.equal(moved.word_ids, batch.word_ids) and moved.words == batch.words


def test_pieces_know_their_word(small_tokenizer):
    batch = encode_captions(small_tokenizer, ["small umbrella"])
    tokens = small_tokenizer.convert_ids_to_tokens(batch.input_ids[0])
    rebuilt = ["", ""]
    for token, word in zip(tokens, batch.word_ids[0].tolist(), strict=True):
        if word >= 0:
            assert token.startswith("##") == bool(rebuilt[word])
            rebuilt[word] += token.removeprefix("##")
    assert rebuilt == ["small", "umbrella"]
    assert len(tokens) > 4


@pytest.mark.parametrize("caption", ["", "   ", "\n\t", "\x00", "​", "\u3164"])
def test_captions_without_a_word_are_refused(tokenizer, caption):
    with pytest.raises(UserError, match=r"Caption 1 .*holds no word"):
        encode_captions(tokenizer, ["dogs", caption])


def test_other_bad_calls(tokenizer):
    with pytest.raises(UserError, match="no caption"):
        encode_captions(tokenizer, [])
    with pytest.raises(UserError, match="at least 3"):
        encode_captions(tokenizer, ["dogs"], max_tokens=2)
    with pytest.raises(UserError, match="no words"):
        train_tokenizer(["", "  "])
    with pytest.raises(UserError, match="too small"):
        train_tokenizer(CAPTIONS, 8)


def test_markup_and_special_tokens_in_captions_are_plain_text(tokenizer):
    batch = encode_captions(tokenizer, ["<script>[MASK] [SEP] [PAD] 😀</script>"], max_tokens=60)
    inner = batch.input_ids[0, 1:-1].tolist()
    assert not {tokenizer.mask_token_id, tokenizer.sep_token_id, tokenizer.pad_token_id} & set(
        inner
    )
    assert batch.words[0] == [
        *("<", "script", ">", "[", "mask", "]", "[", "sep", "]", "[", "pad", "]", "😀"),
        *("<", "/", "script", ">"),
    ]


def test_word_spans_by_hand(tokenizer):
    caption = "One  DOG's Café, <b>striped</b>"
    spans = word_spans(tokenizer, caption)
    assert [caption[start:end] for start, end in spans] == [
        *("One", "DOG", "'", "s", "Café", ",", "<", "b", ">", "striped", "<", "/", "b", ">")
    ]


@given(st.lists(st.text(max_size=40), min_size=1, max_size=4), st.integers(3, 30))
def test_any_text_is_encoded_or_refused(tokenizer, small_tokenizer, captions, max_tokens):
    for model in (tokenizer, small_tokenizer):
        try:
            batch = encode_captions(model, captions, max_tokens)
        except UserError:
            assert any(not word_spans(model, text) or is_empty(text) for text in captions)
            continue
        assert batch.input_ids.shape == batch.word_ids.shape == batch.attention_mask.shape
        assert batch.input_ids.shape[1] <= max_tokens
        for row, caption in enumerate(captions):
            ids = batch.input_ids[row][batch.attention_mask[row] == 1].tolist()
            assert ids[0] == model.cls_token_id and ids[-1] == model.sep_token_id
            words = batch.word_ids[row].tolist()
            real = words[1 : len(ids) - 1]
            assert real == sorted(real) and set(real) == set(range(len(batch.words[row])))
            assert all(word == -1 for word in [words[0], *words[len(ids) - 1 :]])
            spans = word_spans(model, caption)
            assert len(spans) >= len(batch.words[row])
            assert all(0 <= start < end <= len(caption) for start, end in spans)
            assert all(a[1] <= b[0] for a, b in pairwise(spans))


@pytest.mark.parametrize("entry", ["tokenizer_file", "vocab_file", "name_or_path"])
def test_a_tokenizer_config_names_no_other_file(tokenizer, tmp_path, entry):
    tokenizer.save_pretrained(tmp_path / "stranger")
    other = train_tokenizer(["wholly different words are taken here"], 64)
    other.save_pretrained(tmp_path / "secret")
    path = tmp_path / "stranger" / "tokenizer_config.json"
    name = "vocab.txt" if entry == "vocab_file" else "tokenizer.json"
    strange = {entry: str(tmp_path / "secret" / name), "tokenizer_class": "X", "gguf_file": "x"}
    path.write_text(json.dumps(json.loads(path.read_text()) | strange))
    loaded = load_tokenizer(tmp_path / "stranger")
    assert loaded.get_vocab() == tokenizer.get_vocab()
    assert loaded.name_or_path == str(tmp_path / "stranger")


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json"])
def test_a_tokenizer_is_of_its_own_folder(tokenizer, tmp_path, name):
    for folder in ("stranger", "secret"):
        tokenizer.save_pretrained(tmp_path / folder)
    (tmp_path / "stranger" / name).unlink()
    (tmp_path / "stranger" / name).symlink_to(tmp_path / "secret" / name)
    with pytest.raises(UserError, match="link that leads out"):
        load_tokenizer(tmp_path / "stranger")


WORDS = ["the", "red", "kite", "falls", "a", "beach", "umbrella", "dogs", "running", "striped"]
long_captions = st.lists(st.sampled_from(WORDS), min_size=1, max_size=40).map(" ".join)


@given(st.lists(long_captions, min_size=1, max_size=3), st.integers(3, 20), st.integers(0, 99))
def test_a_random_window_is_a_part_of_the_caption_that_starts_with_a_word(
    small_tokenizer, captions, max_tokens, seed
):
    def cut():
        return encode_captions(
            small_tokenizer, captions, max_tokens, torch.Generator().manual_seed(seed)
        )

    batch, room = cut(), max_tokens - 2
    whole = encode_captions(small_tokenizer, captions, 10_000)
    assert torch.equal(batch.input_ids, cut().input_ids)
    for row in range(len(captions)):
        length = int(batch.attention_mask[row].sum())
        ids = batch.input_ids[row, :length].tolist()
        assert (ids[0], ids[-1]) == (small_tokenizer.cls_token_id, small_tokenizer.sep_token_id)
        pieces = whole.input_ids[row, 1 : int(whole.attention_mask[row].sum()) - 1].tolist()
        of_word = whole.word_ids[row, 1 : 1 + len(pieces)].tolist()
        # Every window that starts with a word, and is full or reaches the caption's end.
        windows = {}
        for start, word in enumerate(of_word):
            if start == 0 or of_word[start - 1] != word:
                windows[tuple(pieces[start : start + room])] = None
                if start + room >= len(pieces):
                    break
        assert tuple(ids[1:-1]) in windows
        words = batch.word_ids[row, 1 : length - 1].tolist()
        assert words[0] == 0 and set(words) == set(range(len(batch.words[row])))
        text = "".join(
            token.removeprefix("##") if token.startswith("##") else f" {token}"
            for token in small_tokenizer.convert_ids_to_tokens(ids[1:-1])
        ).split()
        # Only the last word of a full window may lack its end.
        # A word that this small vocabulary cannot spell is one [UNK].
        for token, word in zip(text[:-1], batch.words[row][:-1], strict=True):
            assert token in (word, "[UNK]")
        assert batch.words[row][-1].startswith(text[-1]) or text[-1] == "[UNK]"


@given(st.lists(long_captions, min_size=1, max_size=4))
def test_captions_that_fit_are_not_drawn_from(tokenizer, captions):
    generator = torch.Generator().manual_seed(3)
    before = generator.get_state()
    drawn, plain = (encode_captions(tokenizer, captions, 60, g) for g in (generator, None))
    assert torch.equal(generator.get_state(), before)
    assert torch.equal(drawn.input_ids, plain.input_ids) and drawn.words == plain.words


def test_windows_are_drawn_uniformly_and_every_word_may_be_kept(small_tokenizer):
    caption = "the red umbrella falls"
    pieces = encode_captions(small_tokenizer, [caption], 99)
    starts = [n for n, word in enumerate(pieces.word_ids[0].tolist()) if word >= 0]
    room = len(starts) - int((pieces.word_ids[0] <= 1).sum() - 2)  # from the third word to the end
    generator, seen = torch.Generator().manual_seed(0), {}
    for _ in range(900):
        batch = encode_captions(small_tokenizer, [caption], room + 2, generator)
        seen[batch.words[0][0]] = seen.get(batch.words[0][0], 0) + 1
    assert set(seen) == {"the", "red", "umbrella"}
    assert all(abs(count - 300) < 60 for count in seen.values())
