"""Batches from real files: what the model reads, repeatable from any position, in any process."""

import itertools
from dataclasses import replace

import pytest
import torch

from snpkit.data.dataset import VideoTextDataset
from snpkit.data.samples import Manifest, VideoText
from snpkit.data.synthetic import generate_corpus
from snpkit.data.video_ids import video_id
from snpkit.errors import CheckpointError, UserError
from snpkit.language.significance import SignificanceTable, significance_of
from snpkit.language.tokenizer import encode_captions, train_tokenizer
from snpkit.training import distributed
from snpkit.training.batches import PreTrainingBatches
from snpkit.training.recipe import get_recipe, override


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    manifest = generate_corpus(folder, train=20, validation=2, test=2, size=32, seconds=1.0,
                               workers=1, progress=False).split("train")
    captions = [row.caption for row in manifest.rows]
    dataset = VideoTextDataset(manifest, 2, 2, 32, True, cache=True, progress=False)
    return dataset, train_tokenizer(captions, 400), SignificanceTable.mine(captions, top_k=50)


def make(parts, changes=None, **settings):
    recipe = override(get_recipe("laptop"), {"data.batch_size": 6, **(changes or {})})
    return PreTrainingBatches(*parts, recipe, **settings)


def take(batches, count):
    return list(itertools.islice(batches, count))


def same(one, other):
    return all(
        files == other_files
        and batch.keys() == other_batch.keys()
        and all(
            torch.equal(value, other_batch[name]) if isinstance(value, torch.Tensor)
            else value == other_batch[name]  # what was counted: lengths, labels
            for name, value in batch.items()
        )
        for (batch, files), (other_batch, other_files) in zip(one, other, strict=True)
    )


def test_a_batch_is_what_the_model_reads(parts):
    batch, files = take(make(parts, mismatched=True), 1)[0]
    tokens = batch["input_ids"].shape
    assert batch["pixel_values"].shape == (6, 2, 2, 3, 32, 32)
    assert batch["pixel_values"].dtype == torch.uint8
    for name in ("attention_mask", "masked_input_ids", "labels"):
        assert batch[name].shape == tokens
    assert batch["significant_positions"].shape == (6, 3)
    assert len(files) == 6 and all(file.startswith("videos/") for file in files)
    labelled = batch["labels"] != -100
    assert labelled.any(dim=1).all()
    assert torch.equal(batch["labels"][labelled], batch["input_ids"][labelled])
    changed = batch["masked_input_ids"] != batch["input_ids"]
    assert (changed & ~labelled).sum() == 0


def test_captions_belong_to_their_frames_and_words_are_significant(parts):
    dataset, tokenizer, table = parts
    batch, files = take(make(parts), 1)[0]
    caption_of = {row.video: row.caption for row in dataset.manifest.rows}
    encoded = encode_captions(tokenizer, [caption_of[file] for file in files])
    assert torch.equal(batch["input_ids"], encoded.input_ids)
    significant = significance_of(encoded, table)
    drawn = significant.gather(1, batch["significant_positions"].clamp(min=0))
    assert drawn.all()  # the grammar gives every caption three such words


def test_mssm_hides_significant_words_and_mlm_any(parts):
    dataset, tokenizer, table = parts
    caption_of = {row.video: row.caption for row in dataset.manifest.rows}
    shares = {}
    for kind in ("mssm", "mlm"):
        hidden = total = 0
        for batch, files in take(make(parts, {"masking.kind": kind}), 20):
            encoded = encode_captions(tokenizer, [caption_of[file] for file in files])
            labelled = batch["labels"] != -100
            hidden += (labelled & significance_of(encoded, table)).sum().item()
            total += labelled.sum().item()
        shares[kind] = hidden / total
    assert shares["mssm"] == 1.0 and shares["mlm"] < 0.8
    for kind, known in (("mssm", True), ("mlm", False)):
        batches = make(parts, {"masking.kind": kind, "masking.same_lemma": 0.5})
        assert (batches.vocabulary.forms is not None) == known


def test_an_epoch_shows_every_sample_once_and_epochs_differ(parts):
    batches = make(parts)
    assert len(batches) == 3
    drawn = take(batches, 6)
    epochs = [[file for _, files in drawn[s : s + 3] for file in files] for s in (0, 3)]
    assert all(len(set(epoch)) == 18 for epoch in epochs)
    assert epochs[0] != epochs[1]


@pytest.mark.parametrize("position", [0, 1, 3, 5, 8])
def test_any_position_can_be_come_back_to(parts, position):
    whole = take(make(parts, mismatched=True), 10)
    first = make(parts, mismatched=True)
    source = iter(first)
    for _ in range(position):
        next(source)
    state = first.state_dict()
    next(source)  # what is drawn after the state was taken does not count
    second = make(parts, mismatched=True)
    second.load_state_dict(state)
    assert same(take(second, 10 - position), whole[position:])


def test_seeds_differ_and_repeat(parts):
    assert same(take(make(parts), 2), take(make(parts), 2))
    assert not same(take(make(parts), 2), take(make(parts, {"seed": 1}), 2))


def test_it_draws_nothing_from_the_global_generators(parts):
    torch.manual_seed(1)
    first = take(make(parts), 2)
    torch.manual_seed(2)
    before = torch.get_rng_state()
    assert same(take(make(parts), 2), first)
    assert torch.equal(torch.get_rng_state(), before)


def test_two_processes_share_the_batch_of_one(parts, monkeypatch):
    alone = [set(files) for _, files in take(make(parts), 4)]
    shares = []
    monkeypatch.setattr(distributed, "world_size", lambda: 2)
    for rank in range(2):
        monkeypatch.setattr(distributed, "rank", lambda rank=rank: rank)
        shares.append([set(files) for _, files in take(make(parts), 4)])
    assert [a | b for a, b in zip(*shares, strict=True)] == alone
    assert not any(a & b for a, b in zip(*shares, strict=True))


def rewritten(parts, rows):
    dataset, tokenizer, table = parts
    manifest = Manifest(dataset.manifest.root, rows)
    cached = VideoTextDataset(manifest, 2, 2, 32, True, cache=True, progress=False)
    return cached, tokenizer, table


def test_a_false_caption_is_never_a_true_one(parts):
    """Videos with several captions, and captions that several videos share."""
    videos = [row.video for row in parts[0].manifest.rows[:4]]
    shared = "a ball falls"
    captions = [[shared, "a red kite"], [shared, "the boat slides"], ["a fish spins"], [shared]]
    rows = [VideoText(f"{v}{c}", videos[v], caption, "train")
            for v, of_video in enumerate(captions) for c, caption in enumerate(of_video)]
    other = rewritten(parts, rows)
    tokenizer = other[1]
    batches = make(other, {"data.batch_size": 2}, mismatched=True)
    for batch, files in take(batches, 60):
        for video, ids, mask in zip(files, batch["mismatched_input_ids"],
                                    batch["mismatched_attention_mask"], strict=True):
            false = tokenizer.decode(ids[mask.bool()], skip_special_tokens=True)
            true = captions[videos.index(video)]
            own = {" ".join(tokenizer.tokenize(caption)) for caption in true}
            assert " ".join(tokenizer.tokenize(false)) not in own


def test_without_any_false_caption_it_says_so(parts):
    video = parts[0].manifest.rows[0].video
    rows = [VideoText(str(n), video, f"a ball {word}", "train")
            for n, word in enumerate(["falls", "slides", "spins"])]
    changes = {"data.batch_size": 2, "data.draw": "captions"}
    with pytest.raises(UserError, match="finds no caption that is false"):
        take(make(rewritten(parts, rows), changes, mismatched=True), 1)
    with pytest.raises(UserError, match="1 videos, each drawn once an epoch, give no batch of 2"):
        make(rewritten(parts, rows), {"data.batch_size": 2})


def test_batches_hold_no_video_twice_and_say_which_they_show(parts):
    """Three captions of each of six videos; one video goes by two names."""
    videos = [row.video for row in parts[0].manifest.rows[:6]]
    rows = [VideoText(f"{n}-{word}", video, f"a ball {word}", "train")
            for word in ("falls", "slides", "spins") for n, video in enumerate(videos)]
    rows[0] = VideoText("other-name", f"./{videos[0]}", "a ball falls", "train")
    other = rewritten(parts, rows)
    batches = make(other)
    assert len(batches) == 1
    for batch, files in take(batches, 8):
        assert len({file.removeprefix("./") for file in files}) == 6
        ids = batch["video_ids"]
        assert ids.dtype == torch.int64 and ids.shape == (6,)
        assert ids.tolist() == [video_id(VideoText("x", file, "x", "x")) for file in files]
    twice = [batch["video_ids"].unique().numel()
             for batch, _ in take(make(other, {"data.draw": "captions"}), 8)]
    assert min(twice) < 6


def test_batches_of_one_caption_a_video_are_the_same_however_they_are_drawn(parts):
    for group in (1, 3):
        drawn = [take(make(parts, {"data.draw": draw, "data.group": group}, mismatched=True), 8)
                 for draw in ("videos", "captions")]
        assert same(*drawn)


def test_a_position_of_another_run_is_refused(parts):
    state = make(parts).state_dict()
    with pytest.raises(UserError, match="batch_size"):
        make(parts, {"data.batch_size": 4}).load_state_dict(state)
    with pytest.raises(UserError, match="smaller batch size"):
        make(parts, {"data.batch_size": 64})


def moved(rows, number, **changes):
    """The rows with fields of one of them changed."""
    rows = list(rows)
    rows[number] = replace(rows[number], **changes)
    return rows


OTHERS = {
    "captions shifted by a row": lambda rows: [
        replace(row, caption=rows[place - 1].caption) for place, row in enumerate(rows)
    ],
    "one caption": lambda rows: moved(rows, 7, caption="a red dog runs"),
    "one video": lambda rows: moved(rows, 7, video=rows[8].video),
    "one window": lambda rows: moved(rows, 7, start=0.25),
    "order": lambda rows: rows[::-1],
    "one row to another split": lambda rows: rows[:-1],
}  # fmt: skip


@pytest.mark.parametrize("change", OTHERS)
def test_a_position_in_other_rows_is_refused_and_says_so(parts, change):
    dataset, tokenizer, table = parts
    manifest = Manifest(dataset.manifest.root, OTHERS[change](list(dataset.manifest.rows)))
    other = VideoTextDataset(manifest, 2, 2, 32, True)
    with pytest.raises(CheckpointError, match=r"other training rows \(captions, videos or windows"):
        make((other, tokenizer, table)).load_state_dict(make(parts).state_dict())


def test_another_tokenizer_or_table_is_refused_by_name_and_the_same_anew_is_not(parts):
    dataset, tokenizer, table = parts
    state = make(parts).state_dict()
    captions = [row.caption for row in dataset.manifest.rows]
    other = train_tokenizer(captions, 100)
    with pytest.raises(CheckpointError, match="with another tokenizer than"):
        make((dataset, other, table)).load_state_dict(state)
    words = SignificanceTable.mine(captions, top_k=49)
    with pytest.raises(CheckpointError, match="with another table of significant words than"):
        make((dataset, tokenizer, words)).load_state_dict(state)
    # Numbers of rows (ids) are the manifest's own affair; the rest is found by the same way again.
    rows = [replace(row, id=f"new-{row.id}") for row in dataset.manifest.rows]
    same_rows = VideoTextDataset(Manifest(dataset.manifest.root, rows), 2, 2, 32, True)
    again = (same_rows, train_tokenizer(captions, 400), SignificanceTable.mine(captions, top_k=50))
    make(again).load_state_dict(state)


def test_a_position_from_before_rows_were_compared_still_serves(parts):
    state = make(parts).state_dict()
    del state["made_of"]
    make(parts).load_state_dict(state)


def test_worker_processes_change_nothing(parts):
    dataset, tokenizer, table = parts
    plain = VideoTextDataset(dataset.manifest, 2, 2, 32, True)
    cached = take(make(parts), 5)
    for workers in (0, 2):
        batches = make((plain, tokenizer, table), {"data.workers": workers})
        assert same(take(batches, 5), cached)


def test_captions_with_the_same_two_commonest_words_stand_side_by_side(parts):
    _, _, table = parts
    words = table.significant_words
    common, second, rare = words[0], words[1], words[-1]
    captions = [f"the {common}, {second}", f"{second} and {common.upper()} {rare}", rare, "", "zzz",
                f"{common} {rare}"]  # fmt: skip
    kinds = table.kinds_of(captions).tolist()
    assert kinds[0] == kinds[1] and kinds[3] == kinds[4]
    assert len(set(kinds)) == 4


def test_a_batch_holds_groups_and_resumes_with_them(parts):
    dataset, _, table = parts
    batches = make(parts, {"data.group": 3})
    kinds = table.kinds_of(row.caption for row in dataset.manifest.rows)
    assert batches.loader.batches.kinds.tolist() == kinds.tolist()
    first = take(batches, 5)
    state = batches.state_dict()
    expected = take(batches, 3)
    resumed = make(parts, {"data.group": 3})
    resumed.load_state_dict(state)
    assert same(take(resumed, 3), expected) and not same(first[:3], expected)


def test_long_captions_are_cut_to_the_same_random_window_masked_and_whole(parts):
    changes = {"data.max_tokens": 5, "data.truncation": "random"}
    drawn = take(make(parts, changes, mismatched=True), 9)
    first = take(make(parts, changes | {"data.truncation": "start"}, mismatched=True), 9)
    assert same(drawn, take(make(parts, changes, mismatched=True), 9))
    moved = 0
    for (batch, files), (plain, same_files) in zip(drawn, first, strict=True):
        assert files == same_files and batch["input_ids"].shape == (6, 5)
        labelled = batch["labels"] != -100
        assert torch.equal(batch["labels"][labelled], batch["input_ids"][labelled])
        rest = ~labelled
        assert torch.equal(batch["masked_input_ids"][rest], batch["input_ids"][rest])
        moved += (batch["input_ids"] != plain["input_ids"]).any(dim=1).sum().item()
    assert 20 < moved < 54  # of 54 captions; one in three or four windows is the first
    whole = {"data.max_tokens": 40}
    assert same(take(make(parts, whole | {"data.truncation": "random"}), 4),
                take(make(parts, whole), 4))
