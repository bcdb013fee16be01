"""SharedNetworkExplorer: every trait, both roles, bad input, pictures, and its speed."""

import re
import time

import pytest
import torch

import snpkit
from snpkit.errors import UserError, VideoError
from snpkit.explore.attention import attention_maps
from snpkit.explore.widgets.network import SharedNetworkExplorer
from tests.explore.explaining import noise, small_pipeline

CAPTION = "a red kite glides over the beach"
HOSTILE = "<img src=x onerror=alert(1)>"
DASH = "\N{EN DASH}"


@pytest.fixture(scope="module")
def pipeline():
    return small_pipeline(seed=5)


@pytest.fixture
def explorer(pipeline):
    return SharedNetworkExplorer(pipeline, caption=CAPTION, video=noise())


def test_it_shows_the_weights_of_the_chosen_layer_head_and_token(pipeline, explorer):
    maps = attention_maps(pipeline, CAPTION, noise())
    explorer.layer, explorer.head, explorer.query = 1, 0, 3
    found = explorer.weights()
    for role, one in (("alone", maps.alone), ("cross-modal", maps.together)):
        assert [token for token, _ in found[role]] == one.tokens
        assert [w for _, w in found[role]] == pytest.approx(one.weights[1, 0, 3].tolist())
    explorer.head = None
    mean = maps.alone.weights[1, :, 3].mean(0).tolist()
    assert [w for _, w in explorer.weights()["alone"]] == pytest.approx(mean)


def test_the_strip_tells_the_weights_of_both_roles_on_one_scale(explorer):
    explorer.query = 2
    assert explorer._strip.series == ["alone", "cross-modal"]
    assert [t["text"] for t in explorer._strip.tokens] == explorer.tokens
    found = explorer.weights()
    top = max(w for pairs in found.values() for _, w in pairs)
    for place, token in enumerate(explorer._strip.tokens):
        alone, cross = token["bars"]
        assert cross["text"] == f"{found['cross-modal'][place][1]:.2f}"
        assert cross["value"] == pytest.approx(found["cross-modal"][place][1] / top)
        if place < len(found["alone"]):
            assert alone["value"] == pytest.approx(found["alone"][place][1] / top)
        else:
            assert alone == {"value": 0.0, "text": DASH}


def test_a_clip_token_may_look_too_but_not_alone(explorer):
    explorer.query = explorer.tokens.index("clip 2")
    assert set(explorer.weights()) == {"cross-modal"}
    assert "clip 2 is not in this input" in explorer.summary()
    assert explorer._strip.tokens[0]["bars"][0]["text"] == DASH
    assert explorer._roles.value.count('class="is-frame"') == 1


def test_controls_set_traits_and_follow_them(explorer):
    explorer._layer.value = 1.0
    assert explorer.layer == 1 and isinstance(explorer.layer, int)
    explorer._heads.value = "1"
    assert explorer.head == 1
    explorer._heads.value = "mean"
    assert explorer.head is None
    explorer._strip.selected = [4]
    assert explorer.query == 4
    explorer._strip.selected = []  # pressed once more: some token always looks
    assert explorer.query == 4 and explorer._strip.selected == [4]
    explorer._text.value = "a blue boat spins"
    assert explorer.caption == "a blue boat spins"
    explorer.layer, explorer.head, explorer.query, explorer.caption = 0, 0, 1, "a blue boat"
    assert explorer._layer.value == 0 and explorer._heads.value == "0"
    assert explorer._text.value == "a blue boat"
    explorer.query = 2
    assert explorer._strip.selected == [2]


def test_a_new_caption_gets_a_querying_token_of_its_own(explorer):
    assert explorer.tokens[explorer.query] == "kite"  # the first noun that the table knows
    explorer.caption = "the blue boat spins in a city at night"
    assert explorer.tokens[explorer.query] == "boat"
    with explorer.together():
        explorer.caption, explorer.query = CAPTION, 1
    assert explorer.query == 1
    explorer.caption = "spins"
    assert explorer.query == 1  # no noun: the first token after [CLS]


def test_a_short_caption_never_leaves_the_querying_token_behind(explorer):
    explorer.query = len(explorer.tokens) - 1
    explorer.caption = "a kite"
    assert explorer.query == 2 and not explorer.status.wrong
    assert explorer._strip.selected == [2]


def test_a_sample_clip_brings_its_own_caption_but_never_takes_a_typed_one(pipeline):
    explorer = SharedNetworkExplorer(pipeline)
    assert explorer.caption == "a red fish is shaking over the meadow"
    explorer._clips.value = "generated/test-000041.mp4"
    assert explorer.clip == "generated/test-000041.mp4"
    assert explorer.caption == "a pink spotted tree is swaying over the desert"
    assert "".join(explorer.tokens).count("[SEP]") == 2
    explorer.caption = "my own words"
    explorer.clip = "real/tree-hand.mp4"
    assert explorer.caption == "my own words" and explorer._clips.value == "real/tree-hand.mp4"
    from snpkit.data.samples import samples_folder

    video = samples_folder() / "real/tree-hand.mp4"
    expected = attention_maps(pipeline, "my own words", video).together.weights
    assert torch.equal(explorer.maps.together.weights, expected)


def test_videos_of_ones_own(pipeline, explorer):
    assert explorer._clips.value == "own"
    explorer._clips.value = "real/tree-hand.mp4"
    assert explorer.clip == "real/tree-hand.mp4" and explorer.caption == CAPTION
    frames = noise(7)
    explorer.clip = frames
    expected = attention_maps(pipeline, CAPTION, frames).together.weights
    assert torch.equal(explorer.maps.together.weights, expected)
    assert explorer._clips.value == "own" and "the given frames" in explorer.summary()


def test_the_same_weights_are_named_and_counted(explorer):
    explorer.layer = 1
    name = "network.bert.encoder.layer.1"
    shown, layer = explorer._roles.value, explorer.pipeline.model.network.bert.encoder.layer[1]
    numbers = sum(parameter.numel() for parameter in layer.parameters())
    assert shown.count(f"<code>{name}</code>") == 2
    assert f"✓ Same weights: {name} ran in both roles; all 16 parameter tensors" in shown
    assert f"({numbers:,} numbers)" in shown
    address = hex(layer.attention.self.query.weight.data_ptr())
    assert f"lie at {address} alone, at {address} cross-modal" in shown
    assert address not in explorer.summary() + explorer.picture()  # another one in every run


def test_three_fusion_shows_a_separate_encoder():
    pipeline = small_pipeline(architecture="three_fusion", cross_layers=3)
    explorer = SharedNetworkExplorer(pipeline, caption=CAPTION, video=noise())
    assert "Different weights. Three-fusion (P3E)" in explorer._roles.value
    assert "network.separate_encoder.layer.0" in explorer._roles.value
    assert explorer._layer.maximum == 2
    explorer.layer = 2
    assert "This encoder has 2 layers: there is no layer 2." in explorer._roles.value
    assert explorer._strip.series == ["cross-modal"] and set(explorer.weights()) == {"cross-modal"}
    assert "there is no layer 2" in explorer.summary() and "<img" in explorer.picture()


def test_a_twin_tower_shows_the_caption_alone_and_says_why():
    pipeline = small_pipeline(architecture="twin_tower", tasks=("text_mlm", "gvtm_text_video"))
    explorer = SharedNetworkExplorer(pipeline, caption=CAPTION, video=noise())
    assert explorer._strip.series == ["alone"] and set(explorer.weights()) == {"alone"}
    for shown in (explorer._roles.value, explorer.summary(), explorer.picture()):
        assert "A twin tower never reads caption and clips together" in shown


WRONG = [
    ("caption", "", "empty"), ("caption", 3, "text"), ("caption", None, "text"),
    ("clip", "nowhere.mp4", "nowhere.mp4"), ("clip", 3, "int"), ("clip", None, "NoneType"),
    ("clip", torch.zeros(2), "uint8"),
    ("layer", 2, "from 0 to 1"), ("layer", -1, "layer"), ("layer", "1", "layer"),
    ("layer", True, "layer"), ("layer", None, "layer"), ("head", 2, "head"), ("head", "x", "head"),
    ("query", 99, "token"), ("query", -1, "token"), ("query", 1.5, "token"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value", "told"), WRONG)
def test_bad_values_are_told_in_one_sentence_and_the_old_state_stays(explorer, name, value, told):
    before, shown = getattr(explorer, name), explorer._roles.value
    setattr(explorer, name, value)
    assert explorer.status.wrong and told in explorer.status.text
    assert explorer.status.text.endswith(".") and "\n" not in explorer.status.text
    assert getattr(explorer, name) is before and explorer._roles.value == shown
    assert explorer.maps.caption == CAPTION
    explorer.layer = 1 - explorer.layer
    assert not explorer.status.text  # a good value clears it


def test_an_unreadable_video_is_told_and_the_old_one_stays(explorer, tmp_path):
    (tmp_path / "text.mp4").write_text("no video")
    before = explorer.clip
    explorer.clip = tmp_path / "text.mp4"
    assert explorer.status.wrong and "text.mp4" in explorer.status.text
    assert explorer.clip is before
    with pytest.raises(VideoError):
        SharedNetworkExplorer(explorer.pipeline, video=tmp_path / "text.mp4")


def test_a_refused_caption_stays_in_its_field_marked_as_invalid(explorer):
    explorer._text.value = "  "
    assert explorer._text.invalid and explorer.caption == CAPTION
    explorer._text.value = "a red kite"
    assert not explorer._text.invalid


def test_at_the_start_bad_input_is_an_error(pipeline):
    with pytest.raises(UserError, match="empty"):
        SharedNetworkExplorer(pipeline, caption=" ", video=noise())
    with pytest.raises(UserError, match="nowhere"):
        SharedNetworkExplorer(pipeline, video="nowhere.mp4")


def test_a_caption_that_is_too_long_is_cut_and_says_so(explorer):
    explorer.caption = "kite " * 40
    assert len(explorer.maps.alone.tokens) == 30
    need = int(re.search(r"--need:(\d+)px", explorer._roles.value)[1])
    assert need > 33 * 15  # so wide a map does not stand beside another one in a narrow notebook
    assert "30 tokens" in explorer.status.text and not explorer.status.wrong


def test_the_saved_notebook_shows_text_and_a_picture(explorer, parse):
    bundle = explorer._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert bundle["text/plain"] == explorer.summary() == repr(explorer)
    assert CAPTION in bundle["text/plain"] and "layer 0, mean of 2 heads" in bundle["text/plain"]
    page = parse(bundle["text/html"])
    (image,) = page.all("img")
    assert "Attention alone, layer 0, mean of 2 heads" in image["alt"]
    assert "Attention cross-modal" in image["alt"] and "kite looks most at" in image["alt"]
    assert not page.all("style") and len(page.all("tr")) == 1 + len(explorer.tokens)
    weight = dict(explorer.weights()["cross-modal"])["clip 1"]
    assert f"{weight:.3f}" in page.words


def test_the_heat_maps_are_named_and_reachable(explorer, parse):
    page = parse(explorer._roles.value)
    maps = page.all("svg")
    assert [m["role"] for m in maps] == ["img", "img"]
    names = [m["aria-label"].split(",")[0] for m in maps]
    assert names == ["Attention alone", "Attention cross-modal"]
    scrolls = [a for a in page.all("div") if a.get("class") == "snpkit-scroll"]
    assert [a["aria-label"] for a in scrolls] == ["Heat map, alone", "Heat map, cross-modal"]
    assert all(a["tabindex"] == "0" for a in scrolls)
    passes = (explorer.maps.alone, explorer.maps.together)
    largest = max(one.matrix(0).max().item() for one in passes)
    assert f"{largest:.2f}: one scale for both maps" in page.words


def test_hostile_captions_and_names_stay_text(pipeline, tmp_path, parse, nasty):
    from PIL import Image

    video = tmp_path / f"{HOSTILE}.png"
    Image.new("RGB", (40, 40), (200, 30, 30)).save(video)
    explorer = SharedNetworkExplorer(pipeline, caption=HOSTILE, video=video)
    for caption in (HOSTILE, *nasty):
        explorer.caption = caption
        assert not explorer.status.wrong, explorer.status.text
        for html in (explorer._roles.value, explorer.picture()):
            page = parse(html)
            assert all(image["src"].startswith("data:image/png") for image in page.all("img"))
    assert HOSTILE in explorer.summary() and explorer._clips.options[0][1] == video.name


def test_it_answers_within_a_second_with_the_shipped_checkpoint():
    explorer = SharedNetworkExplorer(snpkit.load("laptop", device="cpu"))
    changes = [
        ("layer", 3), ("head", 2), ("query", 5), ("caption", "a blue drum sways at the beach"),
        ("clip", "generated/test-000014.mp4"),
    ]  # fmt: skip
    for name, value in changes:
        start = time.process_time()  # not of others on a busy machine
        setattr(explorer, name, value)
        assert time.process_time() - start < 1, name
        assert getattr(explorer, name) == value
    assert explorer.maps.together.weights.shape[:2] == (4, 4)
    assert re.search(r"cross-modal: .* → ", explorer.summary())
