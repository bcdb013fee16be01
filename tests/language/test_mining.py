"""Mining a file: the same table in one go, in pieces and in processes; interrupted runs go on."""

import json
import os
import signal
import subprocess
import sys
import time
import tracemalloc

import pytest

from snpkit.errors import UserError
from snpkit.language import counting, mining
from snpkit.language.mining import mine_file
from snpkit.language.significance import SignificanceTable
from snpkit.language.tagging import TaggedWord

CAPTIONS = [
    f"{number} {size} {animal} {verb} over the {colour} hill"
    for number, size in enumerate(("small", "big", "old"))
    for animal in ("dogs", "cats")
    for verb in ("run", "jump")
    for colour in ("red", "green")
]


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "captions.txt"
    path.write_text("\n".join(CAPTIONS))
    return path


def stop_after(monkeypatch, chunks, error):
    """Let counting stop with `error` after some chunks of five captions."""
    monkeypatch.setattr(counting, "CHUNK", 5)

    def stopping(*args, **kwargs):
        for number, chunk in enumerate(counting.count_captions(*args, **kwargs)):
            if number == chunks:
                raise error
            yield chunk

    monkeypatch.setattr(mining, "count_captions", stopping)


def tagged_captions(monkeypatch):
    """The captions that are tagged from now on."""
    seen = []
    tag = counting.tag_captions

    def noting(captions):
        seen.extend(captions)
        return tag(captions)

    monkeypatch.setattr(counting, "tag_captions", noting)
    return seen


def test_the_table_of_a_file_is_that_of_its_captions(source, tmp_path):
    table = mine_file(source, tmp_path / "table.json", progress=False, top_k=4, examples=1)
    expected = SignificanceTable.mine(CAPTIONS, top_k=4, examples=1)
    assert table == expected
    assert SignificanceTable.load(tmp_path / "table.json") == expected
    assert sorted(path.name for path in tmp_path.iterdir()) == ["captions.txt", "table.json"]


@pytest.mark.parametrize(
    ("chunks", "error"),
    # Of a crash after a save all that came before it is kept.
    [(1, KeyboardInterrupt()), (3, KeyboardInterrupt()), (2, RuntimeError("power cut"))],
)
def test_an_interrupted_run_goes_on(source, tmp_path, monkeypatch, chunks, error):
    output = tmp_path / "table.json"
    with monkeypatch.context() as patch:
        patch.setattr(mining, "SAVE_EVERY", 0.0 if isinstance(error, RuntimeError) else 30.0)
        stop_after(patch, chunks, error)
        with pytest.raises(type(error)):
            mine_file(source, output, progress=False)
    assert not output.exists()
    seen = tagged_captions(monkeypatch)
    table = mine_file(source, output, progress=False, top_k=3)
    assert seen == CAPTIONS[5 * chunks :]  # what was counted is not tagged again
    assert table == SignificanceTable.mine(CAPTIONS, top_k=3)
    assert not output.with_name("table.json.unfinished").exists()


def test_a_state_is_only_used_for_the_same_file_and_settings(source, tmp_path, monkeypatch):
    output = tmp_path / "table.json"
    for change in ("file", "examples", "resume"):
        with monkeypatch.context() as patch:
            stop_after(patch, 2, KeyboardInterrupt())
            with pytest.raises(KeyboardInterrupt):
                mine_file(source, output, progress=False, resume=False)
        options = {"examples": 1} if change == "examples" else {"resume": change != "resume"}
        captions = list(CAPTIONS)
        if change == "file":
            captions = ["a new dog jumps", *CAPTIONS[1:]]
            source.write_text("\n".join(captions))
        table = mine_file(source, output, progress=False, **options)
        assert table == SignificanceTable.mine(captions, examples=options.get("examples", 3))
        source.write_text("\n".join(CAPTIONS))


def test_a_damaged_state_is_one_clear_error(source, tmp_path):
    state = tmp_path / "table.json.unfinished"
    state.write_text("{")
    with pytest.raises(UserError, match="unfinished is not JSON"):
        mine_file(source, tmp_path / "table.json", progress=False)
    key = mining._key(source) | {"field": None, "examples": 3}
    for counts in (None, [], {"counts": 3}, {"counts": {"a": 3}}, {"counts": {"a": {"NOUN": "x"}}}):
        state.write_text(json.dumps({"key": key, "counts": counts}))
        with pytest.raises(UserError, match="unfinished is damaged"):
            mine_file(source, tmp_path / "table.json", progress=False)
    assert mine_file(source, tmp_path / "table.json", progress=False, resume=False)


def test_control_c_is_answered_by_the_running_program(tmp_path):
    """A real SIGINT: the counts are saved, no half-written table is left, the rest is mined."""
    source, output = tmp_path / "captions.txt", tmp_path / "table.json"
    source.write_text("\n".join(CAPTIONS * 2000))
    script = (
        "import sys; from snpkit.language import counting, mining; counting.CHUNK = 100;"
        "mining.mine_file(sys.argv[1], sys.argv[2])"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(source), str(output)], stderr=subprocess.PIPE
    )
    shown = b""
    deadline = time.monotonic() + 120
    while b"00 captions" not in shown and time.monotonic() < deadline:
        shown += os.read(process.stderr.fileno(), 4096)
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate(timeout=60)
    assert process.returncode != 0 and b"KeyboardInterrupt" in rest
    state = json.loads((tmp_path / "table.json.unfinished").read_text())
    assert 0 < state["counts"]["captions"] < len(CAPTIONS) * 2000
    assert state["counts"]["captions"] % 100 == 0
    assert not output.exists()


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("captions.txt", {"parts": ("NOUNS",)}, "parts"),
        ("none.txt", {}, "Cannot read"),
        ("captions.json", {}, "`snpkit prepare`"),
    ],
)
def test_wrong_options_and_files_show_before_the_work(source, tmp_path, name, options, message):
    with pytest.raises(UserError, match=message):
        mine_file(tmp_path / name, tmp_path / "table.json", progress=False, **options)
    assert list(tmp_path.iterdir()) == [source]


def test_an_unwritable_place_is_one_clear_error(source, tmp_path, monkeypatch):
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match="folder is a folder; name a file in it"):
        mine_file(source, tmp_path / "folder", progress=False)
    # The table could not be written, the work is not lost.
    seen = tagged_captions(monkeypatch)
    (tmp_path / "folder").rmdir()
    assert mine_file(source, tmp_path / "folder", progress=False)
    assert not seen
    with monkeypatch.context() as patch:
        patch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError(28, "disk full")))
        with pytest.raises(UserError, match="disk full"):
            mine_file(source, tmp_path / "table.json", progress=False)
    assert not seen  # it shows before the work


def test_progress_counts_captions(source, tmp_path, capsys):
    mine_file(source, tmp_path / "table.json")
    assert f"{len(CAPTIONS)} captions" in capsys.readouterr().err


def test_memory_does_not_grow_with_the_number_of_captions(tmp_path, monkeypatch):
    # Tagging itself is replaced: what is tested is that nothing else keeps the captions.
    def by_blanks(captions):
        for caption in captions:
            yield [TaggedWord(word, "", "NOUN", 0, 0) for word in caption.split()]

    monkeypatch.setattr(counting, "tag_captions", by_blanks)
    peaks = []
    for name, count in (("short.txt", 3_000), ("long.txt", 24_000)):
        with open(tmp_path / name, "w") as file:
            file.writelines(f"caption {i % 50} of a very small vocabulary\n" for i in range(count))
        tracemalloc.start()
        table = mine_file(tmp_path / name, tmp_path / "table.json", progress=False)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert table.settings["captions"] == count
    assert peaks[1] < 1.2 * peaks[0]
