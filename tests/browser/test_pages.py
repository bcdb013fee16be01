"""Layer 4: exported HTML, opened from disk without a network: quiet, complete, accessible."""

import shutil

import pytest
from playwright.sync_api import expect

from snpkit.cli import main
from snpkit.data.samples import samples_folder
from tests.browser.watching import HOSTILE, violations

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


EXPLORERS = ("SignificanceExplorer", "SharedNetworkExplorer", "RetrievalExplorer")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """The page of each explorer, of captions that try to become elements."""
    import snpkit
    from snpkit.explore import explorer

    folder, pipeline = tmp_path_factory.mktemp("saved"), snpkit.load("laptop")
    for name in EXPLORERS:
        text = "sentence" if name == "RetrievalExplorer" else "caption"
        made = getattr(explorer, name)(pipeline, **{text: HOSTILE[0]})
        if name == "RetrievalExplorer":
            made.opened = made.found[0].name
        made.export(folder / f"{name}.html")
    return folder


@pytest.mark.parametrize(("width", "scheme"), [(1400, "light"), (390, "dark")])
@pytest.mark.parametrize("name", EXPLORERS)
def test_every_explorer_saves_a_page_that_needs_nothing(saved, watch, name, width, scheme):
    size = {"width": width, "height": 900}
    path = saved / f"{name}.html"
    watched = open_from_disk(watch, path, color_scheme=scheme, viewport=size)
    watched.picture(f"{name}-{width}-{scheme}")
    watched.assert_quiet()
    watched.assert_harmless()
    assert [url for url in watched.asked if not url.startswith("data:")] == []
    assert watched.page.evaluate("document.documentElement.scrollWidth") <= width
    assert violations(watched.page) == []


def test_arcs_lead_from_the_token_that_is_chosen(saved, watch):
    page = open_from_disk(watch, saved / "SharedNetworkExplorer.html").page
    roles = page.locator(".tokens")
    assert roles.count() == 2
    arcs, tokens = roles.nth(1).locator("path"), roles.nth(1).locator(".token")
    assert arcs.count() == tokens.count() - 1
    said = roles.nth(1).locator("svg").get_attribute("aria-label")
    shown = [float(one.inner_text()) for one in tokens.locator("small").all()]
    assert sum(shown) == pytest.approx(1, abs=0.06) and f"{max(shown):.2f}" in said
    page.locator(".map").nth(7).click()
    assert roles.nth(1).locator("svg").get_attribute("aria-label") != said
    assert page.locator(".map[aria-pressed=true]").count() == 2  # the same layer in both roles
    tokens.nth(1).click()
    assert tokens.nth(1).get_attribute("aria-pressed") == "true"


def test_cards_move_between_both_orders_and_play(saved, watch):
    page = open_from_disk(watch, saved / "RetrievalExplorer.html").page
    cards = page.locator(".card")

    def names():
        return [head.inner_text() for head in cards.locator(".head").all()]

    reranked = names()
    assert [name.split(".")[0] for name in reranked] == list("123456")
    page.get_by_role("button", name="Matching order").click()
    assert names() != reranked
    page.get_by_role("button", name="Re-ranked order").click()
    assert names() == reranked
    picture = cards.first.locator("img")
    first = picture.get_attribute("src")
    cards.first.hover()
    expect(picture).not_to_have_attribute("src", first)
    page.mouse.move(0, 0)
    expect(picture).to_have_attribute("src", first)
    assert page.locator(".stage canvas").count() == 1  # the clip that was open


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
