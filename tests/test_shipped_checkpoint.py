"""The checkpoint in data_samples does what its model card says."""

import re

import pytest

import snpkit
from snpkit.data.dataset import VideoTextDataset
from snpkit.data.samples import Manifest, sample_manifest, samples_folder
from snpkit.data.synthetic import CorpusSettings
from snpkit.data.synthetic.plan import plan_corpus
from snpkit.data.synthetic.render import render, write_video
from snpkit.errors import UserError
from snpkit.evaluation.retrieval import evaluate_retrieval

CHECKPOINT = samples_folder() / "checkpoints" / "laptop"


@pytest.fixture(scope="module")
def pipeline():
    return snpkit.load("laptop", device="cpu")


@pytest.fixture(scope="module")
def metrics(pipeline, tmp_path_factory):
    """Retrieval on the test split of the corpus that `make run` draws."""
    root = tmp_path_factory.mktemp("test-split")
    (root / "videos").mkdir()
    settings = CorpusSettings(train=4000, validation=128, test=256)
    rows = []
    for plan in plan_corpus(settings):
        if plan.split == "test":
            clip = render(plan.composition, settings.form, plan.seed)
            write_video(root / plan.video, clip.frames, settings.rate)
            rows.append(plan.row(clip.boxes, clip.second_box))
    config = pipeline.model.config
    test = VideoTextDataset(
        Manifest(root, rows), config.clips, config.frames, config.image_size, False, progress=False
    )
    options = {"top_k": 20, "matching_weight": 1.0}
    return evaluate_retrieval(pipeline.model, pipeline.tokenizer, test, **options)


def test_it_finds_held_out_clips(metrics):
    assert metrics["queries"] == 256
    assert metrics["reranked"]["text_to_video"]["r1"] >= 90
    assert metrics["reranked"]["text_to_video"]["r10"] >= 98


@pytest.mark.parametrize("column", ["matching", "reranked"])
@pytest.mark.parametrize("direction", ["text_to_video", "video_to_text"])
def test_the_card_tells_the_truth(metrics, column, direction):
    card = (CHECKPOINT / "README.md").read_text(encoding="utf-8")
    label = f"{column}, {direction.replace('_', ' ')}"
    (row,) = re.findall(rf"^\| {label} \| (.+) \|$", card, re.MULTILINE)
    told = [float(value) for value in row.split(" | ")]
    values = metrics[column][direction]
    found = [values[name] for name in ("r1", "r5", "r10", "median_rank")]
    # Another processor rounds differently: two captions of 256 may change places.
    assert told == pytest.approx(found, abs=0.8)


def test_it_answers_a_sentence_about_the_sample_clips(pipeline):
    rows = sample_manifest().split("samples").rows
    rows = [row for row in rows if row.id.endswith("-1")]
    folder = samples_folder() / "generated"
    found = pipeline.search([row.caption for row in rows], folder, top_k=3)
    names = [[hit.path.name for hit in hits] for hits in found]
    right = sum(row.video.rpartition("/")[2] in hits for row, hits in zip(rows, names, strict=True))
    assert right >= 0.9 * len(rows)


@pytest.mark.parametrize("text", ["红色的汽车", "\N{KITE}", "???", "xylophone", "\ud83d <[PAD]>"])
def test_a_search_for_words_that_it_has_never_seen_is_refused(pipeline, text):
    with pytest.raises(UserError, match=r"knows no word of .* such as blue, yellow, pink"):
        pipeline.search(text, samples_folder() / "generated")


@pytest.mark.parametrize(
    ("text", "unknown"),
    [
        ("A RED kite, falls!", []),
        ("a hand moves a bottle \N{KITE}?!", ["hand", "bottle", "\N{KITE}"]),
        ("dwindle", []),  # in pieces, but one of the training captions' words
    ],
)
def test_it_names_words_that_it_has_never_seen(pipeline, text, unknown):
    assert pipeline.unknown_words(text) == unknown


def test_it_is_small_and_whole():
    size = sum(path.stat().st_size for path in CHECKPOINT.iterdir())
    assert size <= 10_000_000
    suffixes = {path.suffix for path in CHECKPOINT.iterdir()}
    assert suffixes <= {".json", ".safetensors", ".md", ".png"}


@pytest.mark.parametrize("name", [".", "../laptop"])
def test_it_loads_from_inside_its_folder(name, monkeypatch):
    monkeypatch.chdir(CHECKPOINT)
    assert snpkit.load(name, device="cpu").model.config.hidden_size == 128
