"""`snpkit explain`: the table, JSON, the HTML file, and what users get wrong."""

import json
from typing import get_args, get_type_hints

from snpkit.cli import main
from snpkit.commands.explain import explain
from snpkit.explore.relevance import Method

CAPTION = "A red kite falls over the beach"


def test_the_table_has_a_line_for_every_word(corpus, checkpoint, capsys):
    video = corpus / "videos" / "test-000000.mp4"
    assert main(["explain", str(video), CAPTION, "--checkpoint", str(checkpoint)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["corpus", "attention", "match", "counterfactual"]
    assert [line.split()[0] for line in lines[1:8]] == CAPTION.split()
    assert lines[8].startswith("cross-modal matching score: ")


def test_json_and_html_tell_the_same(corpus, checkpoint, tmp_path, capsys):
    video, output = corpus / "videos" / "test-000000.mp4", tmp_path / "out.html"
    options = ["--checkpoint", str(checkpoint), "--json", "-o", str(output), "--guesses", "2"]
    long = " ".join([CAPTION] * 6)
    assert main(["explain", str(video), long, *options]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [row["word"] for row in found["words"]] == long.split()[: len(found["words"])]
    assert found["left_out"] == long.split()[len(found["words"]) :] != []
    assert found["agreement"].keys() >= {"corpus match", "attention counterfactual"}
    document = output.read_text(encoding="utf-8")
    assert "in test-000000.mp4" in document
    for row in found["words"]:
        assert f"{row['match']:.2f}" in document


def test_mistakes_end_in_one_sentence(corpus, checkpoint, said, tmp_path):
    video = corpus / "videos" / "test-000000.mp4"
    options = ["--checkpoint", checkpoint]
    status, sentence = said("explain", video, "  ", *options)
    assert status == 2 and "holds no word" in sentence
    status, sentence = said("explain", tmp_path / "none.mp4", "a kite", *options)
    assert status == 2 and "none.mp4" in sentence
    status, sentence = said("explain", video, "a kite", *options, "--guesses", "-3")
    assert status == 2 and "guesses is -3" in sentence
    status, sentence = said("explain", video, "a kite", *options, "-o", video / "out.html")
    assert status == 2 and "Cannot write" in sentence


def test_the_command_offers_every_method():
    assert get_args(get_type_hints(explain)["method"]) == get_args(Method)
