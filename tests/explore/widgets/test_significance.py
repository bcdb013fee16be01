"""The SignificanceExplorer by its traits: what each one changes, and what it refuses."""

import shutil
from dataclasses import replace

import pytest

from snpkit.errors import UserError, VideoError
from snpkit.explore.explanation import explain
from snpkit.explore.significance import KINDS, spearman
from snpkit.explore.widgets.significance import SignificanceExplorer
from snpkit.explore.widgets.significance_checks import path_of
from tests.explore.explaining import small_pipeline, small_table
from tests.explore.widgets.conftest import CLIP, OTHER


def bars(explorer):
    return [[bar["text"] for bar in token["bars"]] for token in explorer.panels.strip.tokens]


def test_the_strip_shows_every_word_with_tint_bar_and_number(explorer):
    tokens = explorer.panels.strip.tokens
    assert [token["text"] for token in tokens] == explorer.caption.split()
    values = explorer.kind_values("corpus")
    assert values[1] > values[2] > values[0] == 0
    assert [token["bars"][0]["value"] for token in tokens] == values
    assert bars(explorer)[1] == [f"{values[1]:.2f}"]


def test_pointing_at_a_word_tells_part_of_speech_counts_rank_and_examples(small):
    table = small_table()
    table.entries["kite"] = replace(table.entries["kite"], examples=("one kite", "two kites"))
    explorer = SignificanceExplorer(small, "the kite glides", CLIP, table=table)
    _, kite, glides = (" ".join(token["detail"]) for token in explorer.panels.strip.tokens)
    for said in ("noun 100%", "Rank 3 of the top 10", "48 times noun", "“one kite” · “two kites”"):
        assert said in kite
    assert "glides: not in the table" in glides


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_shows_what_explain_says(explorer, small, kind):
    explorer.kind = kind
    expected = explain(small, explorer.caption, path_of(CLIP)).values(kind)
    assert explorer.shown_kinds[0].values == pytest.approx(expected, abs=1e-5)
    assert explorer.panels.strip.series == [kind.capitalize()]
    assert explorer.panels.kind.value == kind
    assert explorer.shown_kinds[0].rule in explorer.panels.rules.label


def test_comparing_shows_both_kinds_and_their_agreement(explorer):
    explorer.kind, explorer.compare = "match", "corpus"
    assert all(len(shown) == 2 for shown in bars(explorer))
    expected = spearman(explorer.kind_values("match"), explorer.kind_values("corpus"))
    assert explorer.agreement == expected
    shown = f"{expected:.2f}".replace("-", "\N{MINUS SIGN}")
    assert shown in explorer.panels.agreement.label
    explorer.compare = ""
    assert explorer.agreement is None
    assert explorer.panels.agreement.label == ""


def test_agreement_that_is_not_defined_says_so(explorer):
    explorer.caption = "the over a"
    explorer.compare = "attention"
    assert explorer.agreement is None
    assert "not defined" in explorer.panels.agreement.label


def test_top_k_decides_who_is_significant(explorer):
    explorer.top_k = 2
    values = dict(zip(explorer.words, explorer.kind_values("corpus"), strict=True))
    assert values["red"] > 0 == values["kite"] == values["beach"]
    assert "below the top 2" in " ".join(explorer.panels.strip.tokens[2]["detail"])
    assert [token.get("look") for token in explorer.panels.mlm.tokens].count("tinted") <= 1


def test_masks_follow_seed_ratio_and_top_k_and_repeat_with_the_seed(explorer):
    first = explorer.masks
    assert {word for word in first["MSSM"] if word} <= {"[MASK]", *small_table().significant_words}
    explorer.draw_mask()
    assert explorer.seed == 1
    assert explorer.panels.seed.value == "1"
    explorer.seed = 0
    assert explorer.masks == first
    explorer.mask_ratio = 0.95
    assert sum(word is not None for word in explorer.masks["MLM"]) >= 6
    drawn = set()
    for seed in range(12):
        explorer.seed = seed
        drawn.add(str(explorer.masks))
    assert len(drawn) > 6


def test_mssm_takes_significant_words_where_mlm_takes_any(explorer):
    significant = {1, 2, 3, 6}
    taken = {"MLM": set(), "MSSM": set()}
    for seed in range(30):
        explorer.seed = seed
        for name, drawn in explorer.masks.items():
            taken[name] |= {place for place, there in enumerate(drawn) if there is not None}
    assert taken["MSSM"] == significant
    assert taken["MLM"] > significant


def test_masked_words_are_told_apart_by_look_and_by_what_is_said(explorer):
    explorer.mask_ratio = 0.8  # 6 of 7 words
    seen = set()
    for seed in range(30):
        explorer.seed = seed
        for word, token in zip(explorer.words, explorer.panels.mssm.tokens, strict=True):
            look = token.get("look", "")
            seen.add(look)
            if look == "masked":
                assert (token["text"], token["said"]) == ("[MASK]", f"{word}, masked")
            if look == "kept":
                assert token["said"] == f"{word}, kept but asked for"
            if look == "replaced":
                assert token["said"] == f"{word}, replaced by {token['text']}"
    assert {"masked", "kept", "replaced", ""} <= seen


def test_selecting_words_lays_their_map_over_the_frames(explorer):
    plain = explorer.panels.pair.source
    assert explorer.relevance is None
    explorer.selected = [2, 1, 2]
    assert explorer.selected == (1, 2)
    assert explorer.panels.strip.selected == [1, 2]
    assert explorer.relevance.shape == (2, 2, 4, 4)
    assert 0 <= float(explorer.relevance.min()) < float(explorer.relevance.max()) <= 1
    assert explorer.panels.pair.source != plain
    assert "“red”, “kite”" in explorer.panels.pair.alt
    explorer.show_map = False
    assert explorer.panels.pair.source == plain


def test_selecting_in_the_strip_sets_the_trait(explorer):
    explorer.panels.strip.selected = [3]
    assert explorer.selected == (3,)


def test_time_goes_through_the_frames_of_all_clips(explorer):
    sources = []
    for time in range(explorer.frame_count):
        explorer.panels.time.value = float(time)
        assert explorer.time == time
        sources.append(explorer.panels.pair.source)
    assert explorer.frame_count == 4
    assert len(set(sources)) == 4
    assert explorer.panels.time.names[-1] == "clip 2 of 2, frame 2 of 2"
    assert explorer.panels.pair.alt.startswith("Clip 2 of 2, frame 2 of 2")


def test_masking_and_replacing_words_change_the_score(explorer, small):
    explorer.selected = [1]
    assert explorer.changed_score is None
    explorer.edit = "mask"
    assert explorer.changed_caption == "a [MASK] kite falls over the beach"
    whole = explain(small, explorer.caption, path_of(CLIP))
    drop = whole.kind("counterfactual").detail["mask_drop"][1]
    assert explorer.score - explorer.changed_score == pytest.approx(float(drop), abs=1e-4)
    explorer.edit = "replace"
    assert explorer.changed_score is None
    explorer.replacement = "blue"
    assert explorer.changed_caption == "a blue kite falls over the beach"
    other = explain(small, explorer.changed_caption, path_of(CLIP)).score
    assert explorer.changed_score == pytest.approx(other, abs=1e-4)
    assert "“a blue kite falls over the beach”: " in explorer.panels.change.label


def test_the_guesses_for_a_word_are_offered_as_replacements(explorer):
    explorer.selected = [1]
    assert explorer.panels.replacement.suggestions == explorer.explanation().guesses[1]


def test_a_minus_in_the_caption_stays_a_hyphen(explorer):
    explorer.caption = "a red-hot kite"
    explorer.selected, explorer.edit = [0], "mask"
    assert "“[MASK] red-hot kite”" in explorer.change_text


def test_picking_a_clip_takes_its_caption_and_offers_the_others(explorer):
    explorer.panels.clip.value = OTHER
    assert explorer.clip == OTHER
    assert explorer.caption == explorer.panels.caption.value
    assert explorer.caption == explorer.panels.caption.suggestions[0]
    assert "tree" in explorer.caption
    kept = explorer.panels.caption.suggestions[1]
    explorer.caption = kept
    explorer.pick(OTHER)
    assert explorer.caption == kept


def test_setting_the_clip_alone_keeps_the_caption(explorer):
    explorer.clip = "tree-hand"  # the name is enough
    assert (explorer.clip, explorer.panels.clip.value) == (OTHER, OTHER)
    assert explorer.caption.startswith("a red kite")


def test_a_file_of_ones_own_is_read_and_offered(explorer, tmp_path):
    path = tmp_path / "mine <b>.mp4"
    shutil.copy(path_of(OTHER), path)
    explorer.panels.path.value = str(path)
    assert explorer.clip == str(path)
    assert [str(path), "mine <b>.mp4", "Your own"] in explorer.panels.clip.options
    assert explorer.panels.clip.value == str(path)
    explorer.clip = CLIP
    assert explorer.panels.path.value == ""


def test_without_a_clip_what_needs_none_goes_on(explorer):
    explorer.kind, explorer.compare = "match", "counterfactual"
    explorer.selected, explorer.edit, explorer.time = [1], "mask", 3
    explorer.clip = ""
    assert (explorer.kind, explorer.compare, explorer.time) == ("corpus", "", 0)
    assert explorer.score is explorer.frames is explorer.relevance is None
    assert explorer.panels.pair.source == explorer.panels.change.label == ""
    explorer.kind = "attention"
    assert max(explorer.kind_values("attention")) == 1
    explorer.kind = "match"
    assert explorer.kind == "attention"
    assert "needs a clip" in explorer.status.text


def test_a_new_caption_unselects_unless_words_are_chosen_with_it(explorer):
    explorer.selected = [1]
    explorer.caption = "one green ball slides"
    assert explorer.selected == ()
    with explorer.together():
        explorer.caption, explorer.selected = "the blue boat spins", [2]
    assert explorer.selected == (2,)
    with explorer.together():
        explorer.selected, explorer.caption = [3], "a boat"
    assert explorer.selected == ()


REFUSED = [
    ("caption", "", "empty"), ("caption", "  ", "empty"), ("caption", None, "must be text"),
    ("caption", "\N{ZERO WIDTH SPACE}", "no word"), ("clip", "nowhere.mp4", "nowhere.mp4"),
    ("clip", 3, "path"), ("kind", "fame", "corpus, attention"), ("compare", "fame", "choose"),
    ("top_k", 0, "from 1 to"), ("top_k", 10**9, "from 1 to"), ("top_k", 1.5, "whole"),
    ("mask_ratio", 0, "from 0.05"), ("mask_ratio", "half", "number"),
    ("mask_ratio", float("nan"), "number"), ("seed", -1, "seed"), ("seed", "x", "whole number"),
    ("selected", [7], "no word 7"), ("selected", [-1], "no word -1"), ("selected", ["red"], "red"),
    ("selected", 12, "no word 12"), ("time", 4, "Time"), ("time", None, "Time"),
    ("edit", "burn", "choose"), ("replacement", 3, "text"),
]  # fmt: skip


@pytest.fixture(scope="module")
def steady(small):
    return SignificanceExplorer(small, "a red kite falls over the beach", CLIP)


@pytest.mark.parametrize(("name", "value", "said"), REFUSED)
def test_what_cannot_be_is_answered_and_changes_nothing(steady, name, value, said):
    explorer = steady
    before, tokens = getattr(explorer, name), explorer.panels.strip.tokens
    setattr(explorer, name, value)
    assert getattr(explorer, name) == before
    assert explorer.panels.strip.tokens == tokens
    sentence = explorer.status.text
    assert said in sentence
    assert explorer.status.wrong
    assert "\n" not in sentence
    assert sentence.endswith((".", "?", "!"))
    explorer.seed += 1
    assert explorer.status.text == ""


def test_an_unreadable_video_is_named_and_the_old_clip_stays(explorer, tmp_path):
    (tmp_path / "broken.mp4").write_bytes(b"no video at all")
    explorer.panels.path.value = str(tmp_path / "broken.mp4")
    assert explorer.clip == CLIP
    assert "broken.mp4" in explorer.status.text
    assert explorer.panels.path.invalid
    assert explorer.panels.path.problem == explorer.status.text
    with pytest.raises(VideoError, match=r"broken\.mp4"):
        SignificanceExplorer(explorer.answers.pipeline, "a kite", tmp_path / "broken.mp4")


def test_the_seed_field_takes_text_and_marks_what_is_no_number(explorer):
    explorer.panels.seed.value = "12"
    assert explorer.seed == 12
    explorer.panels.seed.value = "twelve"
    assert (explorer.seed, explorer.panels.seed.invalid) == (12, True)


def test_words_beyond_the_last_token_are_told_and_cannot_be_selected(explorer):
    explorer.caption = "red " * 40 + "end"
    assert len(explorer.words) == len(explorer.panels.strip.tokens) == 28
    assert explorer.panels.left_out.label.endswith("red end")
    explorer.selected = [28]
    assert explorer.selected == ()
    explorer.caption = "a kite"
    assert explorer.panels.left_out.label == ""


def test_a_twin_tower_shows_its_own_score():
    pipeline = small_pipeline(
        architecture="twin_tower", tasks=("text_mlm", "gvtm_text_video", "lvwm")
    )
    explorer = SignificanceExplorer(pipeline, "a red kite", CLIP)
    explorer.kind, explorer.selected, explorer.edit = "counterfactual", [1], "mask"
    assert explorer.score_text.startswith("Text-video matching score")
    assert explorer.score == pytest.approx(explorer.explanation().score, abs=1e-4)
    assert explorer.changed_score is not None


def test_a_model_without_text_mlm_has_no_guesses_to_offer():
    pipeline = small_pipeline(tasks=("gvtm_text_video", "gvtm_cross_modal"))
    explorer = SignificanceExplorer(pipeline, "a red kite", CLIP, kind="match", selected=[1])
    assert explorer.panels.replacement.suggestions == []


def test_a_pipeline_without_table_still_explains(small):
    explorer = SignificanceExplorer(replace(small, table=None), "a red kite", CLIP)
    assert explorer.kind_values("corpus") == [0, 0, 0]
    assert explorer.panels.top_k.disabled
    assert any(explorer.masks["MSSM"])
    explorer.kind = "match"
    assert explorer.kind == "match"
    assert "part" in explorer.to_csv()


def test_a_table_alone_gives_corpus_significance_and_masks():
    explorer = SignificanceExplorer(table=small_table(), caption="a red kite falls")
    assert explorer.kind_values("corpus")[1] > 0
    explorer.top_k, explorer.mask_ratio, explorer.seed = 2, 0.5, 4
    assert any(explorer.masks["MSSM"])
    explorer.kind = "match"
    assert (explorer.kind, explorer.status.wrong) == ("corpus", True)
    explorer.clip = CLIP
    assert (explorer.clip, explorer.status.wrong) == ("", True)
    with pytest.raises(UserError, match="pipeline"):
        SignificanceExplorer(table=small_table(), video=CLIP)
    assert SignificanceExplorer(table=small_table()).words[:2] == ["red", "blue"]


def test_the_start_takes_a_caption_a_clip_and_any_state(small):
    explorer = SignificanceExplorer(small)
    assert explorer.clip == CLIP  # what the first caption was written for
    explorer = SignificanceExplorer(small, video=OTHER)
    assert "tree" in explorer.caption
    assert SignificanceExplorer(small, "a hand reaches down in front of a tree").clip == OTHER
    assert SignificanceExplorer(small, "a kite", "").clip == ""
    explorer = SignificanceExplorer(small, "a red kite", CLIP, selected=[2], seed=9, time=1)
    assert (explorer.selected, explorer.seed, explorer.time) == ((2,), 9, 1)
    with pytest.raises(UserError, match="'colour'"):
        SignificanceExplorer(small, colour="red")
    with pytest.raises(UserError, match="empty"):
        SignificanceExplorer(small, "")
