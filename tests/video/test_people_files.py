"""Files that people really have: upright, whole and in time, as the ffmpeg program shows them."""

import os
import struct
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
from PIL import Image

from snpkit.data.shards_packing import pack_clip
from snpkit.errors import PassingError, VideoError
from snpkit.video.index import _times, build_index
from snpkit.video.reader import open_index, probe, read_all, read_clips, read_frames
from tests.video.films import numbers, picture, write_film

MEDIA = Path(__file__).parent.parent / "cases" / "media"
RED, GREEN, BLUE, YELLOW = COLOURS = (220, 30, 30), (30, 200, 30), (30, 30, 220), (230, 220, 60)
PLACES = RED, GREEN, BLUE, YELLOW  # top left and right, bottom left and right
TWELFTHS = [n / 12 for n in range(24)]
SLOWER = TWELFTHS[:13] + [1 + n / 2 for n in range(1, 12)]  # 12 a second, then 2


def corners(frame) -> list[tuple[int, ...]]:
    """The nearest of the four colours in each quarter of a frame [3, height, width]."""
    height, width = frame.shape[1:]
    seen = [
        frame[:, y, x].float().numpy()
        for y in (height // 8, height - height // 8)
        for x in (width // 8, width - width // 8)
    ]
    return [min(COLOURS, key=lambda colour: np.abs(colour - pixel).sum()) for pixel in seen]


@pytest.mark.parametrize("backend", ["auto", "pyav"])
@pytest.mark.parametrize(
    ("name", "size", "shown", "times"),
    [
        ("mirrored_hflip.mp4", (64, 48), (GREEN, RED, YELLOW, BLUE), TWELFTHS),
        ("mirrored_transpose.mp4", (48, 64), (RED, BLUE, GREEN, YELLOW), TWELFTHS),
        ("two_video_tracks.mp4", (80, 64), PLACES, TWELFTHS),
        ("thumb_first.mkv", (80, 64), PLACES, TWELFTHS),
        ("vfr.wmv", (80, 64), PLACES, SLOWER),
        ("avi_null_frames.avi", (80, 64), PLACES, SLOWER),
        ("starts_mid_gop.ts", (80, 64), PLACES, [n / 12 for n in range(48)]),
        ("joined_segments.ts", (80, 64), PLACES, [n / 12 for n in range(48)]),
        ("animated.webp", (80, 64), PLACES, [0, 0.2, 0.4, 0.6, 0.8]),
        ("exif_orientation_9.jpg", (80, 64), PLACES, [0]),
        ("exif_orientation_text.jpg", (64, 80), (BLUE, RED, YELLOW, GREEN), [0]),  # it says "6"
    ],
)
def test_files_are_shown_as_by_ffmpeg(name, size, shown, times, backend):
    file = open_index(MEDIA / name)
    assert (file.info.width, file.info.height) == size
    np.testing.assert_allclose(file.times, times, atol=0.001)
    frames = read_all(MEDIA / name, backend=backend)
    assert frames.shape == (len(times), 3, *size[::-1])
    assert corners(frames[0]) == corners(frames[-1]) == list(shown)


@pytest.mark.parametrize("name", ["a.mp4", "a.png", "a"])
@pytest.mark.parametrize("content", ["mirrored_hflip.mp4", "animated.webp", "grey16.png"])
def test_a_file_is_read_by_its_content(tmp_path, content, name):
    (tmp_path / name).write_bytes((MEDIA / content).read_bytes())
    assert read_all(tmp_path / name).equal(read_all(MEDIA / content))


def test_a_slower_end_counts_for_windows():
    assert build_index(MEDIA / "vfr.wmv").duration == pytest.approx(6.583, abs=0.001)
    late = read_clips(MEDIA / "vfr.wmv", 1, 1, start=5.6, end=5.9)[0]
    assert late.equal(read_all(MEDIA / "vfr.wmv")[21:22])


def test_16_bits_of_grey_are_scaled():
    frame = read_all(MEDIA / "grey16.png")[0]
    assert [int(frame[0, y, x]) for y in (8, 56) for x in (10, 70)] == [87, 130, 52, 205]


def test_one_value_of_16_bits_may_be_transparent(tmp_path):
    values = np.full((8, 8), 0x5700, np.uint16)
    values[:4] = 0x5701
    Image.fromarray(values).save(tmp_path / "a.png", transparency=0x5700)
    assert read_all(tmp_path / "a.png")[0, 0, :, 0].tolist() == [0x57] * 4 + [255] * 4


def test_fractions_are_no_colours(tmp_path):
    Image.new("F", (8, 8), 0.5).save(tmp_path / "a.tif")
    with pytest.raises(VideoError, match=r"a\.tif holds fractions"):
        read_all(tmp_path / "a.tif")


@pytest.fixture(scope="module")
def film(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("films") / "film.mp4"
    one_step_is_longer = [100 * n + 37 * (n > 10) for n in range(24)]
    return write_film(path, milliseconds=one_step_is_longer, options={"bf": "0"})


# The signs (a, b, c, d) of a display matrix -> numpy's way to the upright picture.
ORIENTATIONS = {
    (1, 0, 0, 1): lambda p: p,
    (-1, 0, 0, 1): lambda p: p.flip(3),
    (1, 0, 0, -1): lambda p: p.flip(2),
    (-1, 0, 0, -1): lambda p: p.flip(2, 3),
    (0, 1, 1, 0): lambda p: p.transpose(2, 3),
    (0, 1, -1, 0): lambda p: p.rot90(-1, (2, 3)),
    (0, -1, 1, 0): lambda p: p.rot90(1, (2, 3)),
    (0, -1, -1, 0): lambda p: p.transpose(2, 3).flip(2, 3),
}


@pytest.mark.parametrize("repeated", [False, True], ids=["stamped", "a stamp twice"])
@pytest.mark.parametrize("signs", ORIENTATIONS)
def test_the_whole_display_matrix_is_read(film, tmp_path, signs, repeated):
    content = bytearray(film.read_bytes())
    a, b, c, d = (sign << 16 for sign in signs)
    at = content.index(b"tkhd") + 44
    content[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    if repeated:  # the longer step becomes one of nothing
        at = content.index(b"stts") + 8
        runs = struct.unpack_from(">I", content, at)[0]
        (step,) = (n for n in range(runs) if content[at + 4 + 8 * n :][:4] == bytes([0, 0, 0, 1]))
        struct.pack_into(">I", content, at + 8 + 8 * step, 0)
    path = tmp_path / "turned.mp4"
    path.write_bytes(content)
    frames = read_all(path)
    expected = ORIENTATIONS[signs](read_all(film)).float()
    assert frames.shape == expected.shape and (frames.float() - expected).abs().mean() < 3
    assert frames.equal(read_all(path, backend="pyav"))
    info = probe(path)
    assert (info.height, info.width) == frames.shape[2:]
    assert build_index(path).counted == repeated


def test_coded_pictures_may_bear_an_orientation(film, tmp_path):
    path = tmp_path / "sei.mp4"
    with av.open(str(film)) as reading, av.open(str(path), "w") as writing:
        stream = reading.streams.video[0]
        copy = writing.add_stream_from_template(stream)
        insert = "h264_metadata=display_orientation=insert:rotate=90"
        turn = av.bitstream.BitStreamFilterContext(insert, in_stream=stream)
        for packet in reading.demux(stream):
            for turned in turn.filter(packet if packet.size else None):
                turned.stream = copy
                writing.mux(turned)
    expected = read_all(film).rot90(1, (2, 3)).float()
    for backend in ("auto", "pyav"):
        assert (read_all(path, backend=backend).float() - expected).abs().mean() < 3


@pytest.mark.parametrize(
    ("name", "delays", "shown"),
    [
        ("a.gif", [100, 2000, 100, 100, 100], [0.1, 2, 0.1, 0.1, 0.1]),
        ("a%03d.png", [100, 2000, 100, 100, 100], [0.1, 2, 0.1, 0.1, 0.1]),
        # As in browsers: nobody could see the first two.
        ("a.gif", [0, 10, 20, 30], [0.1, 0.1, 0.02, 0.03]),
        ("a.webp", [0, 10, 20, 30], [0.1, 0.1, 0.02, 0.03]),
        ("a.avif", [0, 10, 20, 30], [0.1, 0.1, 0.02, 0.03]),
    ],
)
def test_delays_of_moving_pictures(tmp_path, name, delays, shown):
    first, *others = [Image.fromarray(picture(n, 96, 64)) for n in range(len(delays))]
    kind = Path(name).suffix
    first.save(tmp_path / f"a{kind}", save_all=True, append_images=others, duration=delays)
    (tmp_path / f"a{kind}").rename(tmp_path / name)
    file = open_index(tmp_path / name)
    np.testing.assert_allclose(file.times, np.cumsum([0, *shown[:-1]]), atol=0.001)
    assert file.duration == pytest.approx(sum(shown))
    assert numbers(read_all(tmp_path / name)) == list(range(len(delays)))


@pytest.mark.parametrize("name", ["a.png", "still.png", "a.apng", "a.gif"])
def test_transparent_parts_are_white(tmp_path, name):
    first, second = (Image.new("RGBA", (32, 16), (0, 0, 0, 0)) for _ in range(2))
    second.paste((200, 0, 0, 255), (16, 0, 32, 16))
    first.putpixel((0, 0), (0, 0, 200, 255))
    moving = {} if name == "still.png" else {"append_images": [second], "save_all": True}
    kind = "GIF" if name == "a.gif" else "PNG"
    first.save(tmp_path / name, kind, duration=100, disposal=1, **moving)
    frames = read_all(tmp_path / name)
    assert frames[0, :, 8, 24].tolist() == [255, 255, 255]
    if moving:
        assert frames[1, :, 8, 8].tolist() == [255, 255, 255]
        assert frames[1, :, 8, 24].tolist() == pytest.approx([200, 0, 0], abs=2)


@pytest.mark.parametrize(
    ("name", "how", "rate"),
    [
        ("a.dv", {"codec": "dvvideo", "width": 720, "height": 576, "pixels": "yuv420p"}, 25),
        ("a.nut", {"codec": "mpeg4"}, 12),
        ("b_frames.avi", {"options": {"bf": "2"}}, 12),
        ("a.asf", {"codec": "wmv2"}, 12),
    ],
)
def test_rates_of_containers(tmp_path, name, how, rate):
    path = write_film(tmp_path / name, 12, rate=rate, **how)
    file = build_index(path)
    np.testing.assert_allclose(file.times, np.arange(12) / rate, atol=0.001)
    assert file.info.rate == pytest.approx(rate, rel=0.01)


def test_segments_in_any_order_and_one_lost_packet(tmp_path):
    whole = write_film(tmp_path / "a.ts", rate=25, options={"bf": "0"}).read_bytes()
    (tmp_path / "twice.ts").write_bytes(whole + whole)
    np.testing.assert_allclose(build_index(tmp_path / "twice.ts").times, np.arange(48) / 25)
    assert numbers(read_all(tmp_path / "twice.ts")) == [*range(24), *range(24)]
    for place in range(4, len(whole) // 188 - 1, 3):
        path = tmp_path / "flaw.ts"
        path.write_bytes(whole[: place * 188] + whole[place * 188 + 188 :])
        assert len(read_all(path)) >= 16  # a group of 8 at most is lost


def test_one_flaw_does_not_condemn_a_film(tmp_path):
    path = write_film(tmp_path / "flaw.mp4", options={"bf": "0"})
    content = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        lost = list(container.demux(video=0))[15]  # the last one before a key frame
    content[lost.pos : lost.pos + lost.size] = bytes(lost.size)
    path.write_bytes(content)
    frames = read_all(path, backend="pyav")
    shown = numbers(frames)
    assert shown == [*range(15), *range(16, 24)]
    assert read_frames(path, [17, 14], backend="pyav").equal(frames[[16, 14]])
    (tmp_path / "packed.mp4").write_bytes(pack_clip(path, size=64))
    assert numbers(read_all(tmp_path / "packed.mp4")) == shown


@pytest.mark.parametrize(
    ("stamps", "times"),
    [
        ([0, 1, 2, 1, 4, 5], [0, 1, 2, 3, 4, 5]),  # one wrong stamp
        ([0, 1, 2, 2, 4, 5], [0, 1, 2, 2, 4, 5]),
        ([7, 8, 9, 0, 1, 2], [0, 1, 2, 3, 4, 5]),  # a clock that starts anew
        ([5, 6, 99, 100], [0, 1, 2, 3]),
    ],
)
def test_seams_and_flaws_of_stamps(stamps, times):
    stream = SimpleNamespace(time_base=Fraction(1), average_rate=1)
    shown, duration = _times(np.array(stamps), np.ones(len(stamps), np.int64), stream, joined=True)
    assert shown.tolist() == times and duration == times[-1] + 1


def test_a_folder_of_frames_is_a_video(tmp_path):
    folder = tmp_path / "frames"
    folder.mkdir()
    for number in range(12):
        Image.fromarray(picture(number, 96, 64)).save(folder / f"frame_{number}.png")
    (folder / "notes.txt").touch()
    assert probe(folder).rate == pytest.approx(25)
    assert numbers(read_all(folder)) == list(range(12))
    assert numbers(read_clips(folder, 1, 2, start=0.08, end=0.24)[0]) == [3, 5]
    (folder / "frame_7.png").write_bytes(b"no picture")
    with pytest.raises(VideoError, match=r"frame_7\.png is not a whole image"):
        read_all(folder)


@pytest.mark.parametrize("name", ["12:30 party.mp4", "file:a.mp4", "concat:a.mp4"])
def test_a_name_is_no_protocol(film, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    Path(name).write_bytes(film.read_bytes())
    for backend in ("auto", "pyav"):
        assert len(read_all(name, backend=backend)) == 24


def test_a_decoy_does_not_lead_outside(film, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    decoy = Path(f"file:{film}")
    decoy.parent.mkdir(parents=True)
    decoy.write_bytes(b"a decoy")
    with pytest.raises(VideoError, match="not a video"):
        read_all(decoy)


@pytest.mark.parametrize("suffix", ["mp4", "ts", "ffconcat", "m3u8"])
@pytest.mark.parametrize(
    "text",
    [
        "ffconcat version 1.0\nfile '{}'\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{}\n#EXT-X-ENDLIST\n",
    ],
)
def test_lists_of_other_files_are_not_followed(film, tmp_path, text, suffix):
    path = tmp_path / f"list.{suffix}"
    path.write_text(text.format(film))
    with pytest.raises(VideoError, match="not a video"):
        read_all(path)


@pytest.mark.parametrize("name", ["a.mp4", "a.jpg"])
def test_what_is_no_regular_file_is_refused(tmp_path, name):
    os.mkfifo(tmp_path / name)
    with pytest.raises(VideoError, match="no regular file"):
        read_all(tmp_path / name)


@pytest.mark.parametrize("length", [10**12, 2**62, 2**63 + 5])
@pytest.mark.parametrize("kind", [b"moov", b"mdat", b"free"])
def test_lengths_are_not_believed(film, tmp_path, kind, length):
    path = tmp_path / "long.mp4"
    box = struct.pack(">I4sQ", 1, kind, length)
    path.write_bytes(film.read_bytes()[:32] + box + bytes(100))
    with pytest.raises(VideoError):
        read_all(path)


@pytest.mark.parametrize("name", ["gap.mkv", "gap.avi"])
def test_a_gap_of_a_terabyte_is_not_searched(tmp_path, monkeypatch, name):
    path = write_film(tmp_path / name, codec="mpeg4")
    os.truncate(path, 1 << 40)
    monkeypatch.setattr("snpkit.video.container._PATIENCE", 0.3)
    with pytest.raises(PassingError, match="gives nothing in"):
        read_all(path)


def test_a_thin_picture_is_not_scaled_to_gigabytes(tmp_path):
    Image.new("L", (1, 60_000)).save(tmp_path / "thin.png")
    with pytest.raises(VideoError, match="too narrow"):
        read_clips(tmp_path / "thin.png", size=224)
    assert read_all(tmp_path / "thin.png").shape == (1, 3, 60_000, 1)


@pytest.mark.parametrize(
    ("kind", "value", "turned"),
    [
        (3, b"\x06\0", True),  # SHORT, as it ought to be
        (3, b"\0\0", False),
        (3, b"\xff\xff", False),
        (1, b"\x06", True),  # BYTE
        (7, b"\x06", True),  # UNDEFINED
        (7, b"\x09", False),
        (2, b"no\0", False),  # ASCII
    ],
)
def test_orientations_of_any_type(tmp_path, kind, value, turned):
    count = len(value) // 2 if kind == 3 else len(value)
    entry = struct.pack("<HHI4s", 0x0112, kind, count, value)
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 1) + entry + bytes(4)
    Image.new("RGB", (20, 10)).save(tmp_path / "a.jpg", exif=exif)
    shape = (20, 10) if turned else (10, 20)
    assert read_all(tmp_path / "a.jpg").shape[2:] == shape
    assert probe(tmp_path / "a.jpg").height == shape[0]
