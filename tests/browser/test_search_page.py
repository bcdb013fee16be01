"""The page of `snpkit search`, opened from disk without a network."""

import shutil

import pytest

from snpkit.cli import main
from snpkit.data.samples import samples_folder
from tests.browser.test_pages import assert_complete, open_from_disk
from tests.browser.watching import HOSTILE, violations

pytestmark = pytest.mark.browser
SENTENCE = "a red fish is shaking over the meadow"


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Searches of a folder whose files have hostile names: one sentence, and three."""
    folder = tmp_path_factory.mktemp("searched")
    generated = samples_folder() / "generated"
    for path in sorted(generated.glob("*.mp4"))[6:10]:
        shutil.copy(path, folder)
    shutil.copy(generated / "test-000000.mp4", folder / f"{HOSTILE[0]}.mp4")
    (folder / "red <script>alert(1)<script>.mp4").write_bytes(b"no video")
    pages = [folder / "one.html", folder / "three.html"]
    for output, sentences in zip(pages, ([SENTENCE], [SENTENCE, *HOSTILE]), strict=True):
        assert main(["search", str(folder), *sentences, "--no-index", "--html", str(output)]) == 0
    return pages


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("place", "width"), [(0, 1000), (1, 1000), (1, 400)])
def test_the_page_needs_nothing_and_everybody_can_read_it(found, watch, place, width, scheme):
    size = {"width": width, "height": 800}
    watched = open_from_disk(watch, found[place], color_scheme=scheme, viewport=size)
    watched.picture(f"search-{place}-{width}-{scheme}")
    assert_complete(watched)
    watched.assert_harmless()
    assert watched.page.evaluate("document.documentElement.scrollWidth") <= width
    assert watched.page.locator(".card img").count() == 5 * (1, 3)[place]
    shown = watched.page.locator("main").inner_text()
    for text in (SENTENCE, f"{HOSTILE[0]}.mp4", "1 file could not be read"):
        assert text in shown
    best = watched.page.locator(".cards").first.locator(".card").first
    assert best.locator(".head").inner_text().split()[:2] == ["1.", "test-000008.mp4"]
    assert best.locator(".gain").count() == 8
    assert violations(watched.page) == []
