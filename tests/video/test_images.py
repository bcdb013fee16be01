"""Still images: videos of one frame."""

import os
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from snpkit.errors import VideoError
from snpkit.video.reader import VideoInfo, probe, read_all, read_clips
from tests.video.films import picture


def test_images_are_videos_of_one_frame(tmp_path):
    pixels = picture(5, 90, 60)
    Image.fromarray(pixels).save(tmp_path / "still.png")
    assert probe(tmp_path / "still.png") == VideoInfo(1, 90, 60, 1.0)
    clips = read_clips(tmp_path / "still.png", 2, 2, start=3.0, end=4.0)
    assert clips.shape == (2, 2, 3, 60, 90)
    assert (clips == torch.from_numpy(pixels).permute(2, 0, 1)).all()
    expected = np.asarray(Image.fromarray(pixels).resize((45, 30), Image.Resampling.BILINEAR))
    small = read_clips(tmp_path / "still.png", size=30)[0, 0].permute(1, 2, 0)
    assert (small.numpy() == expected[:, 7:37]).all()
    whole = read_clips(tmp_path / "still.png", size=45, fit="long")[0, 0].permute(1, 2, 0)
    assert (whole.numpy() == expected).all()


def test_images_of_every_kind(tmp_path):
    image = Image.fromarray(picture(5, 40, 20))
    for mode in ("L", "P", "1", "I;16", "CMYK"):
        suffix = "jpg" if mode == "CMYK" else "png"
        plain = Image.new(mode, (4, 4)) if mode == "I;16" else image.convert(mode)
        plain.save(tmp_path / f"mode.{suffix}")
        assert read_all(tmp_path / f"mode.{suffix}", size=8).shape == (1, 3, 8, 8)


EPS = b"""%!PS-Adobe-3.0 EPSF-3.0
%%BoundingBox: 0 0 10 10
%%EndComments
newpath 0 0 moveto 10 10 lineto stroke
showpage
%%EOF
"""


@pytest.mark.parametrize("name", ["a.jpg", "a.png"])
def test_an_eps_starts_no_ghostscript(name, tmp_path, monkeypatch):
    marker, commands = tmp_path / "ran", tmp_path / "bin"
    commands.mkdir()
    for command in ("gs", "gswin64c", "gswin32c"):
        (commands / command).write_text(f"#!/bin/sh\ntouch {marker}\n")
        (commands / command).chmod(0o755)
    monkeypatch.setenv("PATH", f"{commands}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr("PIL.EpsImagePlugin.gs_binary", None)  # found once, kept for ever
    (tmp_path / name).write_bytes(EPS)
    for read in (probe, read_all):
        with pytest.raises(VideoError, match="not a video or image"):
            read(tmp_path / name)
    assert not marker.exists()


def png(width: int, height: int) -> bytes:
    """A PNG that says it has so many pixels, and holds none of them."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress(bytes(1000))
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


@pytest.mark.parametrize("size", [(1, 400_000), (170_000_000, 1), (13_000, 13_000), (70_000, 2)])
def test_a_size_is_checked_before_it_is_decoded(size, tmp_path):
    (tmp_path / "large.png").write_bytes(png(*size))
    for read in (probe, read_all):
        with pytest.raises(VideoError) as refusal:
            read(tmp_path / "large.png")
        assert f"{size[0]} x {size[1]} pixels" in str(refusal.value)
