"""From a manifest to shards: packed by several processes, a shard at a time, to be gone on with.

The standard library writes the tars: WebDataset's own writer does not tell where a file lies.
"""

import hashlib
import io
import json
import re
import tarfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from tqdm import tqdm

from snpkit.data.cache import clip_name
from snpkit.data.samples import Manifest
from snpkit.data.shards import INDEX, VERSION
from snpkit.data.shards_packing import pack_clip, packed_suffix
from snpkit.data.unreadable import UnreadableReport
from snpkit.errors import PassingError, UserError, VideoError, explained
from snpkit.files import atomic_path, locked_folder, open_regular, write_json, write_text
from snpkit.machine import available_cores
from snpkit.video.guarded import ReaderPool

_IN_INDEX = ("name", "split", "kind", "files", "clips", "rows", "bytes")


@dataclass(frozen=True)
class _Plan:
    """A shard to write: its files by number, each with the rows of the manifest that show it.

    `digest` tells what it is made of: the settings, the rows, and the files as they are now.
    """

    name: str
    split: str
    kind: str
    files: dict[int, list[int]]
    digest: str


@dataclass
class Sharding:
    """What `write_shards` has done.

    Attributes:
        folder: where the shards are.
        report: the files that could not be read.
        shards: the entries of the index: name, split, kind, files, clips, rows, bytes.
        reused: shards that were there already.
    """

    folder: Path
    report: UnreadableReport
    shards: list[dict[str, Any]] = field(default_factory=list)
    reused: int = 0


def write_shards(
    manifest: Manifest,
    folder: str | Path,
    *,
    size: int = 64,
    per_shard: int = 1000,
    workers: int | None = None,
    seconds: float = 300.0,
    progress: bool = True,
) -> Sharding:
    """Write all rows of a manifest into shards; each file once, whatever its rows.

    The same manifest gives the same bytes. Shards that an earlier run has finished are kept where
    the settings, the rows and the files (their size and time) are still the same, and no file is
    left out that took too long or too much memory, or crashed its reader.

    Args:
        size: pixels of the short side, even; 0 keeps mp4, JPEG and PNG files as they are.
        per_shard: files in a shard.
        workers: processes that encode; None takes one per core.
        seconds: limit for one file.
        progress: show a progress bar.

    Raises:
        UserError: a setting is wrong, nothing can be read, the folder cannot be written to, another
            process is writing there, or the disk is full.
        AnnotationError: a path leads out of the manifest's root.
    """
    if size < 0 or size % 2 or per_shard < 1 or (workers is not None and workers < 1):
        raise UserError(
            f"Shards of {per_shard} clips of size {size} cannot be made by {workers} workers: the "
            "size must be even (0 = as they are), the others at least 1."
        )
    folder = Path(folder)
    with explained(f"Cannot write to {folder}", "choose another folder"):
        folder.mkdir(parents=True, exist_ok=True)
        # No index until all is there: nobody trains on half of a data set unawares.
        (folder / INDEX).unlink(missing_ok=True)
    plans = list(_plan(manifest, per_shard, size))
    heads = {plan.name: _finished(folder, plan) for plan in plans}
    todo = [plan for plan in plans if heads[plan.name] is None]
    first = (manifest.rows[rows[0]] for plan in todo for rows in plan.files.values())
    jobs = ((manifest.path_of(row), {"size": size}) for row in first)
    done = Sharding(folder, UnreadableReport(sum(len(plan.files) for plan in plans)))
    done.reused = len(plans) - len(todo)
    bar = tqdm(total=done.report.clips, desc="shards", unit="file", disable=not progress)
    with (
        locked_folder(folder),
        bar,
        ReaderPool(workers or available_cores(), seconds=seconds) as pool,
        closing(pool.map(pack_clip, jobs)) as packed,
    ):
        for plan in plans:
            head = heads[plan.name]
            if head is None:
                contents = (content for _, content in packed)
                head = _write(manifest, folder, plan, contents, bar)
            else:
                bar.update(len(plan.files))
            done.shards.append({name: head[name] for name in _IN_INDEX})
            for name, reason in head["unreadable"].items():
                done.report.add(name, reason)
        if len(done.report) == done.report.clips:
            done.report.check(1.0)
        index = {"format": "snpkit shards", "version": VERSION, "size": size, "shards": done.shards}
        write_json(folder / INDEX, index | {"unreadable": done.report.reasons})
    return done


def _plan(manifest: Manifest, per_shard: int, size: int) -> Iterator[_Plan]:
    """Which files go into which shard: a split and a kind each, in the order of the manifest."""
    groups: dict[tuple[str, str], dict[str, list[int]]] = {}
    for number, row in enumerate(manifest.rows):
        files = groups.setdefault((row.split, row.kind), {})
        files.setdefault(row.video, []).append(number)
    shards, first = 0, 0
    for (split, kind), files in groups.items():
        word = re.sub(r"[^A-Za-z0-9_-]", "_", split)[:40]
        rows = iter(files.values())
        while group := list(islice(rows, per_shard)):
            numbered = dict(enumerate(group, start=first))
            digest = _digest(manifest, numbered, size)
            yield _Plan(f"{word}-{kind}-{shards:06d}", split, kind, numbered, digest)
            shards, first = shards + 1, first + len(group)


def _digest(manifest: Manifest, files: dict[int, list[int]], size: int) -> str:
    digest = hashlib.sha256(json.dumps([VERSION, size]).encode())
    for number, rows in files.items():
        path = manifest.path_of(manifest.rows[rows[0]])
        state = path.stat() if path.is_file() else None
        facts = [number, state and state.st_size, state and state.st_mtime_ns]
        facts += [manifest.rows[row].to_json() for row in rows]
        digest.update(json.dumps(facts).encode())
    return digest.hexdigest()


def _finished(folder: Path, plan: _Plan) -> dict[str, Any] | None:
    """The head of a shard that an earlier run has finished, of the same clips."""
    tar, table = folder / f"{plan.name}.tar", folder / f"{plan.name}.jsonl"
    try:
        with open_regular(table, encoding="utf-8") as lines:
            head = json.loads(lines.readline())
        known = (head["digest"], head["bytes"]) == (plan.digest, tar.stat().st_size)
        return head if known and not head.get("passing") else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write(
    manifest: Manifest, folder: Path, plan: _Plan, contents: Iterator[bytes | VideoError], bar: tqdm
) -> dict[str, Any]:
    """Write a shard, then its table; both are whole or not there. Returns the table's head."""
    lines, unreadable, passing, clips = [], {}, [], set()
    path = folder / f"{plan.name}.tar"
    with atomic_path(path) as part, tarfile.open(part, "w", format=tarfile.USTAR_FORMAT) as tar:
        for number, content in zip(plan.files, contents, strict=False):
            bar.update()
            rows = [manifest.rows[row] for row in plan.files[number]]
            if isinstance(content, VideoError):
                unreadable[rows[0].video] = str(content)
                passing += [rows[0].video] if isinstance(content, PassingError) else []
                continue
            name, offset = f"{number:09d}.{packed_suffix(content)}", tar.offset + tarfile.BLOCKSIZE
            shown = {"rows": [row.to_json() for row in rows]}
            _add(tar, name, content)
            _add(tar, f"{number:09d}.json", json.dumps(shown, ensure_ascii=False).encode())
            lines.append({"file": name, "offset": offset, "bytes": len(content)} | shown)
            clips |= {clip_name(row) for row in rows}
    head = {"name": plan.name, "split": plan.split, "kind": plan.kind, "files": len(lines)}
    head |= {"clips": len(clips), "rows": sum(len(line["rows"]) for line in lines)}
    head |= {"bytes": path.stat().st_size, "digest": plan.digest, "unreadable": unreadable}
    head |= {"passing": passing} if passing else {}
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in [head, *lines])
    write_text(folder / f"{plan.name}.jsonl", text)
    return head


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    # No owner and no time: the same clips give the same bytes.
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), 0o644
    tar.addfile(member, io.BytesIO(content))
