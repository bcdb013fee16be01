"""Generate the corpus: plan every clip in one process, draw and encode the clips in several."""

import multiprocessing
import os
import shutil
import signal
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from snpkit.data.samples import Manifest, VideoText
from snpkit.data.synthetic.plan import ClipPlan, CorpusSettings, plan_corpus
from snpkit.data.synthetic.render import Box, ClipForm, Rendered, render, write_video
from snpkit.errors import UserError, explained
from snpkit.files import read_json, write_json
from snpkit.machine import available_cores
from snpkit.spawning import check_main_guard

FORMAT = 1  # raised whenever the same settings would give other pixels or captions
_CHUNK = 16  # clips a worker takes at a time
_DONE, _STARTED, _MANIFEST = "corpus.json", "unfinished.json", "manifest.jsonl"
Boxes = tuple[list[Box], Box | None]  # the main object in each frame, the second object


def _make_clips(folder: Path, plans: list[ClipPlan], form: ClipForm) -> list[Boxes]:
    """Draw clips and write those that are not there yet; the boxes of each."""
    made = []
    for plan in plans:
        clip = render(plan.composition, form, plan.seed)
        _write_once(folder / plan.video, clip, form.rate)
        made.append((clip.boxes, clip.second_box))
    return made


def _write_once(path: Path, clip: Rendered, rate: int) -> None:
    if path.exists() and path.stat().st_size > 0:
        return  # renamed into place by an earlier, interrupted run: whole
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with explained(f"Cannot write {path}", "free some space or choose another folder"):
            write_video(temporary, clip.frames, rate)
            os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _ignore_interrupt() -> None:
    # Ctrl-C reaches the whole process group; only the parent answers it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _run(
    folder: Path, plans: list[ClipPlan], form: ClipForm, workers: int
) -> Iterator[tuple[int, list[Boxes]]]:
    """(first clip, its chunk's boxes) of every chunk, in any order."""
    chunks = {start: plans[start : start + _CHUNK] for start in range(0, len(plans), _CHUNK)}
    if workers <= 1:
        for start, chunk in chunks.items():
            yield start, _make_clips(folder, chunk, form)
        return
    check_main_guard("generate_corpus")
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_ignore_interrupt)
    try:
        jobs = {pool.submit(_make_clips, folder, chunks[start], form): start for start in chunks}
        for job in as_completed(jobs):
            yield jobs[job], job.result()
        pool.shutdown()
    except BaseException as error:  # Ctrl-C too: finish the clips in hand, start no others
        pool.shutdown(wait=True, cancel_futures=True)
        for left in (folder / "videos").glob(".*.part"):  # of a worker that was killed
            left.unlink(missing_ok=True)
        if isinstance(error, BrokenProcessPool):
            raise UserError(
                "A process that draws clips died; use fewer workers if memory is short."
            ) from error
        raise


def _draw_all(
    folder: Path, plans: list[ClipPlan], form: ClipForm, workers: int, progress: bool
) -> list[VideoText]:
    made: dict[int, Boxes] = {}
    with tqdm(total=len(plans), desc="Drawing clips", unit="clip", disable=not progress) as bar:
        for start, chunk in _run(folder, plans, form, workers):
            made.update(enumerate(chunk, start))
            bar.update(len(chunk))
    return [plan.row(*made[index]) for index, plan in enumerate(plans)]


def _worker_count(workers: int | None, clips: int) -> int:
    if workers is not None:
        if workers < 1:
            raise UserError(f"workers must be at least 1, not {workers}.")
        return workers
    # A new process costs about as much time as a hundred clips.
    return min(available_cores(), max(1, clips // 100))


def _prepare(folder: Path, identity: dict[str, Any]) -> None:
    """Make the folder ready: keep the clips of an interrupted run, refuse what is not ours."""
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file; name a folder for the corpus.")
    started, done = folder / _STARTED, folder / _DONE
    if done.exists() and read_json(done) != identity:
        raise UserError(
            f"{folder} already holds a corpus of other settings or of another version; "
            "choose another folder or delete it."
        )
    ours = done.exists() or started.exists()
    if not ours and ((folder / _MANIFEST).exists() or (folder / "videos").exists()):
        raise UserError(
            f"{folder} holds other files (videos or a manifest); choose another folder."
        )
    with explained(f"Cannot use the folder {folder}"):
        if started.exists() and not done.exists() and _settings_of(started) != identity:
            shutil.rmtree(folder / "videos", ignore_errors=True)
        (folder / "videos").mkdir(parents=True, exist_ok=True)
    write_json(started, identity)
    done.unlink(missing_ok=True)


def _settings_of(path: Path) -> Any:
    try:
        return read_json(path)
    except UserError:  # damaged: begin anew
        return None


def _finished(folder: Path, identity: dict[str, Any]) -> Manifest | None:
    """The manifest of a finished corpus with these settings, all files present; else None."""
    done = folder / _DONE
    if not done.is_file() or (folder / _STARTED).exists() or _settings_of(done) != identity:
        return None
    try:
        manifest = Manifest.load(folder / _MANIFEST)
        present = {entry.name for entry in os.scandir(folder / "videos")}
    except (UserError, OSError):  # missing or damaged: make it again
        return None
    whole = all(Path(row.video).name in present for row in manifest.rows)
    return manifest if whole else None


def generate_corpus(
    folder: str | Path,
    settings: CorpusSettings | None = None,
    *,
    workers: int | None = None,
    progress: bool = True,
    **changes: Any,
) -> Manifest:
    """Write a corpus of short clips with captions, or reuse the finished one in the folder.

    The folder gets `videos/*.mp4`, `manifest.jsonl` and, last of all, `corpus.json`, which marks
    it as finished. An interrupted run goes on where it stopped. In a script, call it below
    `if __name__ == "__main__":`, because the workers are fresh processes.

    Args:
        folder: where the corpus goes.
        settings: what it holds; single settings may also be given by name (`train=100`).
        workers: processes; default: one per core. The result does not depend on it.
        progress: show a progress bar.

    Returns:
        The manifest of all splits. Each row's `extra` has "tags", "composition", "named", "boxes"
        and "second_box".

    Raises:
        UserError: wrong settings, a folder that holds something else, or a full disk.
    """
    settings = replace(settings or CorpusSettings(), **changes)
    folder = Path(folder)
    settings.check()
    identity = {"format": FORMAT, "settings": asdict(settings)}
    finished = _finished(folder, identity)
    if finished is not None:
        return finished
    count = _worker_count(workers, settings.train + settings.validation + settings.test)
    plans = plan_corpus(settings)
    _prepare(folder, identity)
    manifest = Manifest(folder, _draw_all(folder, plans, settings.form, count, progress))
    manifest.save(folder / _MANIFEST)
    write_json(folder / _DONE, identity)
    (folder / _STARTED).unlink()
    return manifest
