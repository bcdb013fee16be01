"""The clips that explorers know, and the checks that they share."""

from pathlib import Path

import pytest
import torch

from snpkit.errors import UserError
from snpkit.explore.widgets import sample_clips as clips

SHIPPED = "generated/test-000008.mp4"


def test_shipped_clips_are_known_by_name():
    assert clips.captions_of(SHIPPED)[-1] == "a red fish is shaking over the meadow"
    assert clips.source_of(SHIPPED).is_file()
    assert len(clips.sample_captions()) == 43
    assert clips.captions_of("elsewhere.mp4") == clips.captions_of(torch.zeros(2)) == []


def test_options_name_every_clip_and_ones_own(tmp_path):
    options, chosen = clips.clip_options(SHIPPED)
    assert chosen == SHIPPED and len(options) == 43
    assert {group for _, _, group in options} == {"Generated", "Filmed or animated"}
    options, chosen = clips.clip_options(tmp_path / "<b>.mp4")
    assert chosen == clips.OWN
    assert options[0] == [clips.OWN, "<b>.mp4", "Your own"] and len(options) == 44
    assert clips.clip_options(torch.zeros(1))[0][0][1] == "the given frames"


def test_paths_and_frames_are_sources(tmp_path):
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"x")
    assert clips.source_of(str(path)) == clips.source_of(path) == path
    frames = torch.zeros(1)
    assert clips.source_of(frames) is frames


@pytest.mark.parametrize("wrong", ["nowhere.mp4", "", "\0", "x" * 5000, Path("/"), 3, None])
def test_what_is_no_clip_is_refused(wrong):
    with pytest.raises(UserError) as told:
        clips.source_of(wrong)
    assert str(told.value).endswith(".") and "\n" not in str(told.value)


def test_captions_are_checked():
    assert clips.caption_of("a kite \ud83d") == "a kite ?"
    for wrong in ("", " \n", 3, None):
        with pytest.raises(UserError, match="sentence"):
            clips.caption_of(wrong, "sentence")


def test_whole_numbers_are_checked():
    assert clips.whole(3, 3, "n", 1) == 3
    for wrong in (0, 4, 1.0, "2", True, None):
        with pytest.raises(UserError, match="from 1 to 3"):
            clips.whole(wrong, 3, "n", 1)
