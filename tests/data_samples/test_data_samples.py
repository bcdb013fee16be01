"""What data_samples ships: rows that hold, files that play, sizes, and licences that are named."""

from collections import defaultdict
from pathlib import Path

import av
import pytest

from data_samples.tools.real_clips import CLIPS, SOURCES
from data_samples.tools.real_samples import rows_of
from snpkit.data.samples import VideoText, sample_manifest, samples_folder

FOLDER = samples_folder()
README = (FOLDER / "README.md").read_text(encoding="utf-8")
NOTICE = (FOLDER.parent / "NOTICE").read_text(encoding="utf-8")
MANIFEST = sample_manifest()
REAL = MANIFEST.split("real")


def rows_by_video() -> dict[str, list[VideoText]]:
    videos = defaultdict(list)
    for row in REAL.rows:
        videos[row.video].append(row)
    return dict(videos)


def decoded(path: Path) -> tuple[av.VideoStream, int]:
    with av.open(str(path)) as container:
        assert not container.streams.audio
        return container.streams.video[0], sum(1 for _ in container.decode(video=0))


def test_every_row_has_its_own_id_a_caption_and_a_file_that_decodes() -> None:
    assert len({row.id for row in MANIFEST.rows}) == len(MANIFEST.rows)
    for row in MANIFEST.rows:
        assert len(row.caption.split()) >= 3 and row.caption == row.caption.strip()
    for path in {MANIFEST.path_of(row) for row in MANIFEST.rows if row.kind == "video"}:
        assert decoded(path)[1] >= 8, path.name


def test_every_shipped_video_has_a_row() -> None:
    shipped = {path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*.mp4")}
    assert shipped == {row.video for row in MANIFEST.rows if row.kind == "video"}


def test_the_folder_is_small() -> None:
    sizes = {path: path.stat().st_size for path in FOLDER.rglob("*") if path.is_file()}
    assert sum(sizes.values()) <= 10_000_000
    real = [size for path, size in sizes.items() if path.parent.name == "real"]
    assert len(real) >= 6 and max(real) <= 300_000


@pytest.mark.parametrize("video", sorted(rows_by_video()))
def test_a_real_clip_is_short_small_and_as_described(video: str) -> None:
    stream, frames = decoded(FOLDER / video)
    assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
    assert 160 <= min(stream.width, stream.height) <= 192
    assert 10 <= stream.average_rate <= 15
    assert 2 <= frames / stream.average_rate <= 5


@pytest.mark.parametrize("video", sorted(rows_by_video()))
def test_a_real_clip_has_captions_a_question_and_a_choice(video: str) -> None:
    rows = rows_by_video()[video]
    captions = {row.caption for row in rows}
    assert 2 <= len(rows) <= 3 and len(captions) == len(rows)
    assert all(row.extra == rows[0].extra for row in rows), "rows of a clip tell one story"
    extra = rows[0].extra
    assert extra["question"].endswith("?") and extra["answer"].islower()
    assert len(set(extra["options"])) == 5
    true_options = captions & set(extra["options"])
    assert true_options == {extra["options"][extra["answer_index"]]}


def test_the_place_of_the_true_option_gives_nothing_away() -> None:
    places = [rows[0].extra["answer_index"] for rows in rows_by_video().values()]
    assert set(places) == set(range(5))
    assert max(map(places.count, range(5))) <= len(places) / 5 + 1


def test_captions_of_different_clips_differ() -> None:
    captions = [row.caption for row in REAL.rows]
    assert len(set(captions)) == len(captions)


def test_manifest_says_what_the_table_of_cuts_says() -> None:
    expected = [row for number, clip in enumerate(CLIPS) for row in rows_of(clip, number)]
    assert list(REAL.rows) == expected


@pytest.mark.parametrize("clip", CLIPS, ids=lambda clip: clip.name)
def test_licence_and_source_are_named(clip: object) -> None:
    source = SOURCES[clip.source]
    (line,) = [line for line in README.splitlines() if f"`real/{clip.name}.mp4`" in line]
    assert f"| {source.file} | {clip.start} to {clip.end} | {source.licence} |" in line
    (entry,) = [entry for entry in NOTICE.split("\n\n") if f"{clip.name}.mp4" in entry]
    assert source.file in entry and f"({source.licence})" in entry


def test_required_credits_stand_in_the_notice() -> None:
    assert "(c) copyright 2008, Blender Foundation / www.bigbuckbunny.org" in NOTICE
    assert "https://creativecommons.org/licenses/by/3.0/" in NOTICE
    licence = FOLDER / "licences" / "Apache-2.0.txt"
    assert "Version 2.0, January 2004" in licence.read_text(encoding="utf-8")
