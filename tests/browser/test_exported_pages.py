"""Layer 4: exported HTML, opened from disk without a network: quiet, complete, accessible."""

import shutil

import pytest

from snpkit.cli import main
from snpkit.data.samples import samples_folder
from tests.browser.watching import HOSTILE, violations

CAPTION = "a red fish is shaking over the meadow"
pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def explained(tmp_path_factory):
    """`snpkit explain` of a video whose very name is hostile."""
    folder = tmp_path_factory.mktemp("explained")
    video = folder / "<img src=x onerror=alert(3)>.mp4"
    shutil.copy(samples_folder() / "generated" / "test-000000.mp4", video)
    pages = [folder / "first.html", folder / "second.html"]
    for output, caption in zip(pages, HOSTILE, strict=True):
        assert main(["explain", str(video), caption, "-o", str(output)]) == 0
    return pages


def open_from_disk(watch, path, **options):
    """The page, with every request but the one for itself recorded and refused."""
    watched = watch(offline=True, **options)
    asked = []

    def refuse(route):
        if route.request.url == path.as_uri():
            route.continue_()
        else:
            asked.append(route.request.url)
            route.abort()

    watched.page.context.route("**/*", refuse)
    watched.page.goto(path.as_uri())
    watched.asked = asked
    return watched


def assert_complete(watched):
    decoded = "Promise.all([...document.images].map(i => i.decode().then(() => i.naturalWidth)))"
    images = watched.page.evaluate(decoded)
    assert images and min(images) > 0
    assert [url for url in watched.asked if not url.startswith("data:")] == []
    watched.assert_quiet()


@pytest.mark.parametrize(("place", "scheme"), [(0, "light"), (1, "dark")])
def test_the_explain_command_writes_a_page_that_needs_nothing(explained, watch, place, scheme):
    size = {"width": 1000, "height": 800}
    watched = open_from_disk(watch, explained[place], color_scheme=scheme, viewport=size)
    assert_complete(watched)
    watched.assert_harmless()
    assert HOSTILE[place] in watched.page.locator(".sentence").text_content()
    assert watched.page.evaluate("document.documentElement.scrollWidth") <= 1000
    watched.picture(f"explain-{scheme}")
    assert violations(watched.page) == []


@pytest.fixture(scope="module")
def explorer():
    from snpkit.explore.widgets import SignificanceExplorer

    return SignificanceExplorer(caption=CAPTION, kind="match", compare="counterfactual")


@pytest.mark.parametrize(("caption", "scheme"), [(CAPTION, "light"), (HOSTILE[0], "dark")])
def test_the_explorer_exports_a_page_that_needs_nothing(explorer, watch, tmp_path, caption, scheme):
    with explorer.together():
        explorer.caption, explorer.selected, explorer.edit = caption, (0, 1), "mask"
    path = tmp_path / "explorer.html"
    explorer.export(path)
    size = {"width": 1000, "height": 800}
    watched = open_from_disk(watch, path, color_scheme=scheme, viewport=size)
    watched.picture(f"exported-explorer-{scheme}")
    assert_complete(watched)
    watched.assert_harmless()
    assert caption in watched.page.locator(".sentence").text_content()
    assert watched.page.evaluate("document.documentElement.scrollWidth") <= 1000
    assert violations(watched.page) == []


def test_the_watch_sees_what_it_watches_for(watch, tmp_path):
    path = tmp_path / "bad.html"
    path.write_text(
        "<!doctype html><html lang=en><title>bad</title><main><h1>Bad</h1>"
        "<img src='https://example.org/x'><button style='color:#ddd;background:#eee'>go</button>"
        f"{HOSTILE[0]}{HOSTILE[1]}<input></main>",
        encoding="utf-8",
    )
    watched = open_from_disk(watch, path)
    watched.page.wait_for_timeout(100)
    assert watched.outside == ["https://example.org/x"] and watched.errors and watched.dialogs
    with pytest.raises(AssertionError):
        watched.assert_quiet()
    with pytest.raises(AssertionError):
        watched.assert_harmless()
    found = {line.split()[1].rstrip(":") for line in violations(watched.page)}
    assert found >= {"image-alt", "color-contrast", "label"}
