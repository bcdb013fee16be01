"""The command line itself: what it prints, and where it cannot print."""

import os
import subprocess
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import snpkit
from snpkit.cli import main
from snpkit.text import format_table, printable


def run(*arguments, **options):
    command = [sys.executable, "-m", "snpkit", *arguments]
    return subprocess.run(command, stderr=subprocess.PIPE, text=True, **options)


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"snpkit {snpkit.__version__}\n"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="only Linux has a full device")
def test_a_full_disk_is_one_sentence(monkeypatch, capsys):
    with open("/dev/full", "w") as full:
        ended = run("mine", "--help", stdout=full)
        assert ended.returncode == 2
        assert ended.stderr == "snpkit: Cannot write the output: No space left on device.\n"
        monkeypatch.setattr(sys, "stdout", full)
        monkeypatch.setattr("snpkit.commands.parameters.parameter_table", list)
        assert main(["doctor", "--parameters"]) == 2
    assert capsys.readouterr().err == ended.stderr


def test_a_closed_output_is_no_failure():
    command = ["sh", "-c", f'"{sys.executable}" -m snpkit mine --help >&-']
    ended = subprocess.run(command, capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_an_ascii_locale_prints_every_name(tmp_path):
    environment = os.environ | {"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    missing = tmp_path / "Häschen 兔子"
    ended = run("verify", str(missing), stdout=subprocess.PIPE, env=environment)
    assert ended.returncode == 2
    assert len(ended.stderr.splitlines()) == 1 and "is no folder" in ended.stderr


@pytest.mark.parametrize("error", [
    MemoryError(), torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory"),
    RuntimeError("The size of tensor a (2) must match the size of tensor b (3)"),
], ids=["python", "cuda", "cpu", "another"])  # fmt: skip
def test_too_little_memory_is_one_sentence_and_a_fault_of_ours_is_none(monkeypatch, capsys, error):
    def doctor() -> int:
        raise error

    monkeypatch.setattr("snpkit.commands.doctor.doctor", doctor)
    if "size of tensor" in str(error):
        with pytest.raises(RuntimeError, match="size of tensor"):
            main(["doctor"])
        return
    assert main(["doctor"]) == 2
    said = capsys.readouterr().err
    assert "memory does not suffice" in said and len(said.splitlines()) == 1


def test_names_in_sentences_cannot_act_on_a_terminal(capsys, tmp_path):
    assert main(["search", str(tmp_path / "a\x1b]0;title\x07\x1b[2Jb"), "a hare"]) == 2
    said = capsys.readouterr().err
    assert "\x1b" not in said and "\x07" not in said and r"a\x1b]0;title\x07\x1b[2Jb" in said


def test_names_in_tables_cannot_act_on_a_terminal(capsys, tmp_path):
    names = '{"id": "1", "video": "a\\u001b[31m.mp4", "split": "tr\\u001b[2Jain"'
    rows = names + ', "caption": "a red kite"}\n'
    (tmp_path / "manifest.jsonl").write_text(rows)
    assert main(["verify", str(tmp_path)]) == 1
    said = capsys.readouterr().out
    assert "\x1b" not in said and r"\x1b[31m.mp4" in said


@given(st.text())
def test_printable_text_holds_no_control_characters_and_leaves_others(text):
    said = printable(text)
    assert not any((ord(c) < 32 and c not in "\t\n") or 127 <= ord(c) < 160 for c in said)
    assert printable(said) == said
    if text.isprintable():
        assert said == text


@given(st.lists(st.tuples(st.text("ab ", min_size=1), st.text("0123", min_size=1)), min_size=1))
def test_columns_of_a_table_are_even(rows):
    lines = format_table(rows).split("\n")
    assert len(lines) == len(rows)
    for line, (_, number) in zip(lines, rows, strict=True):
        assert line.endswith(number)
    assert len(set(map(len, lines))) == 1
