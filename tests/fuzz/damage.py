"""Damage: what disks, networks, cut downloads and ill-meaning people do to files; all seeded."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np

Damage = Callable[[bytes, np.random.Generator], bytes]


def flip_bits(content: bytes, random: np.random.Generator) -> bytes:
    """One to 64 bits anywhere."""
    return _flipped(content, random, 0, len(content), int(random.integers(1, 65)))


def flip_head(content: bytes, random: np.random.Generator) -> bytes:
    """Some bits where the header is."""
    return _flipped(content, random, 0, min(len(content), 400), int(random.integers(1, 9)))


def flip_tail(content: bytes, random: np.random.Generator) -> bytes:
    """Some bits where an mp4 file has its index."""
    start = max(len(content) - 1500, 0)
    return _flipped(content, random, start, len(content), int(random.integers(1, 9)))


def _flipped(
    content: bytes, random: np.random.Generator, start: int, stop: int, count: int
) -> bytes:
    changed = bytearray(content)
    for place in random.integers(start, max(stop, start + 1), count) if content else ():
        changed[place] ^= 1 << int(random.integers(8))
    return bytes(changed)


def cut_end(content: bytes, random: np.random.Generator) -> bytes:
    """A download that stopped."""
    return content[: random.integers(0, max(len(content), 1))]


def cut_out(content: bytes, random: np.random.Generator) -> bytes:
    """A piece is missing from the middle."""
    first, last = _span(content, random)
    return content[:first] + content[last:]


def repeat(content: bytes, random: np.random.Generator) -> bytes:
    """A piece is there twice."""
    first, last = _span(content, random)
    return content[:last] + content[first:]


def zeros(content: bytes, random: np.random.Generator) -> bytes:
    """A lost block of the disk."""
    first, last = _span(content, random)
    return content[:first] + bytes(last - first) + content[last:]


def noise(content: bytes, random: np.random.Generator) -> bytes:
    """A block of another file."""
    first, last = _span(content, random)
    return content[:first] + random.bytes(last - first) + content[last:]


def _span(content: bytes, random: np.random.Generator) -> tuple[int, int]:
    first = int(random.integers(0, max(len(content), 1)))
    return first, min(first + int(random.integers(1, 2000)), len(content))


def empty(content: bytes, random: np.random.Generator) -> bytes:
    """Zero bytes."""
    return b""


def garbage(content: bytes, random: np.random.Generator) -> bytes:
    """Nothing of it is left."""
    return random.bytes(int(random.integers(1, 5000)))


def playlist(content: bytes, random: np.random.Generator) -> bytes:
    """Text that makes ffmpeg open other files or the network."""
    where = ["/etc/passwd", "http://127.0.0.1:9/x.ts", "concat:/etc/passwd|/etc/hosts", "a.mp4"]
    chosen = where[random.integers(len(where))]
    return f"#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:10.0,\n{chosen}\n#EXT-X-ENDLIST\n".encode()


def _boxes(content: bytes, start: int = 0, stop: int | None = None) -> list[tuple[int, int, bytes]]:
    """The boxes of an mp4 file in a range: (begin, end, name)."""
    found, stop = [], len(content) if stop is None else stop
    while start + 8 <= stop:
        size = int.from_bytes(content[start : start + 4], "big")
        if size < 8 or start + size > stop:
            break
        found.append((start, start + size, content[start + 4 : start + 8]))
        start += size
    return found


def _all_boxes(content: bytes) -> list[tuple[int, int, bytes]]:
    found, todo = [], _boxes(content)
    while todo:
        box = todo.pop()
        found.append(box)
        if box[2] in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts"):
            todo += _boxes(content, box[0] + 8, box[1])
    return sorted(found)


def swap_boxes(content: bytes, random: np.random.Generator) -> bytes:
    """The boxes of an mp4 file in another order, at the top or within one of them."""
    level = _boxes(content)
    inner = [box for box in _all_boxes(content) if box[2] in (b"moov", b"trak", b"stbl", b"mdia")]
    if inner and random.random() < 0.6:
        begin, end, _ = inner[random.integers(len(inner))]
        level = _boxes(content, begin + 8, end)
    if len(level) < 2:
        return flip_head(content, random)
    order = random.permutation(len(level))
    parts = b"".join(content[level[n][0] : level[n][1]] for n in order)
    return content[: level[0][0]] + parts + content[level[-1][1] :]


def wrong_box_size(content: bytes, random: np.random.Generator) -> bytes:
    """A box of an mp4 file that says it is longer or shorter than it is."""
    boxes = _all_boxes(content)
    if not boxes:
        return flip_head(content, random)
    begin, end, _ = boxes[random.integers(len(boxes))]
    sizes = [0, 1, 7, 8, 0x7FFFFFFF, 0xFFFFFFFF, end - begin - 1, end - begin + 9]
    size = sizes[random.integers(len(sizes))]
    return content[:begin] + size.to_bytes(4, "big") + content[begin + 4 :]


def wrong_numbers(content: bytes, random: np.random.Generator) -> bytes:
    """Rates, durations, sizes, counts and offsets of an mp4 file that cannot be."""
    wanted = (b"mvhd", b"mdhd", b"tkhd", b"stts", b"stsz", b"stco", b"ctts", b"elst", b"stsd",
              b"stsc", b"stss")  # fmt: skip
    boxes = [box for box in _all_boxes(content) if box[2] in wanted]
    if not boxes:
        return noise(content, random)
    begin, end, _ = boxes[random.integers(len(boxes))]
    changed = bytearray(content)
    values = [0, 1, 2, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, int(random.integers(1 << 31))]
    for _ in range(int(random.integers(1, 4))):
        place = begin + 8 + 4 * int(random.integers(0, max((end - begin - 8) // 4, 1)))
        value = values[random.integers(len(values))]
        changed[place : place + 4] = value.to_bytes(4, "big")
    return bytes(changed)


BINARY: tuple[Damage, ...] = (
    flip_bits, flip_bits, flip_head, flip_tail, flip_tail, cut_end, cut_out, repeat, zeros, noise,
    empty, garbage, playlist, swap_boxes, swap_boxes, wrong_box_size, wrong_box_size,
    wrong_numbers, wrong_numbers, wrong_numbers,
)  # fmt: skip

ODD: tuple[Any, ...] = (
    None, True, -1, 0, 1.5, 10**30, 1e308, "", " ", "../../etc/passwd", "/etc/passwd", "a\0b",
    "C:\\x", "x" * 100_000, [], {}, [[]], {"": None}, "<img src=x onerror=alert(1)>", "\u202e",
    "🪁", ["a", 1, None], {"id": {"id": []}},
)  # fmt: skip
ODD_TEXT = (
    b"NaN", b"1e999", b"9" * 5000, b"[" * 100_000, b'"\\ud800"', b'{"a":' * 5000, b"\xff\xfe",
)  # fmt: skip


def odd_value(content: bytes, random: np.random.Generator) -> bytes:
    """A value somewhere in a JSON file, or in a line of one, that does not belong there."""
    lines = content.split(b"\n")
    place = int(random.integers(len(lines)))
    whole = _loaded(content)
    value = whole if whole is not None else _loaded(lines[place])
    if value is None:
        return noise(content, random)
    value = _replaced(value, random)
    text = json.dumps(value).encode()
    if b'"@@"' in text:
        text = text.replace(b'"@@"', ODD_TEXT[random.integers(len(ODD_TEXT))])
    if whole is not None:
        return text
    return b"\n".join([*lines[:place], text, *lines[place + 1 :]])


def _loaded(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return None


def _replaced(value: Any, random: np.random.Generator) -> Any:
    inside = list(value) if isinstance(value, dict) else []
    if isinstance(value, list):
        inside = list(range(len(value)))
    if not inside or random.random() < 0.15:
        odd = (*ODD, "@@", "@@", "@@")
        return odd[random.integers(len(odd))]
    key = inside[random.integers(len(inside))]
    if isinstance(value, dict) and random.random() < 0.1:
        return {name: value[name] for name in value if name != key}
    changed = dict(value) if isinstance(value, dict) else list(value)
    changed[key] = _replaced(value[key], random)
    return changed


def other_coding(content: bytes, random: np.random.Generator) -> bytes:
    """The text in UTF-16, or with a byte order mark."""
    text = content.decode("utf-8", "replace")
    return text.encode(["utf-16", "utf-8-sig", "utf-32-be"][random.integers(3)])


TEXT: tuple[Damage, ...] = (
    odd_value, odd_value, odd_value, odd_value, flip_bits, cut_end, cut_out, repeat, zeros, noise,
    empty, garbage, other_coding,
)  # fmt: skip
