"""What every explorer must keep to in a browser, wherever it is shown."""

from typing import Any

_STOPS = """region => [...region.querySelectorAll(
        'a[href], button, input, select, textarea, summary, [tabindex]')]
    .filter(node => node.tabIndex >= 0 && !node.disabled && node.checkVisibility()
        && node.getClientRects().length)"""
_NAME = """node => `${node.tagName.toLowerCase()} ` + (node.getAttribute('aria-label')
    || node.labels?.[0]?.textContent || node.textContent || '').trim().slice(0, 40)"""
_OUTSIDE = """region => {
    const edge = region.getBoundingClientRect();
    // What scrolls or is cut off within the explorer is not seen to leave it.
    const clips = node => getComputedStyle(node).overflowX !== 'visible';
    const cut = ({parentElement: above}) => above !== region && (clips(above) || cut(above));
    return [...region.querySelectorAll('*')]
        .filter(node => node.checkVisibility() && !node.closest('.unseen')
            && node.getBoundingClientRect().right > edge.right + 1 && !cut(node))
        .map(node => node.outerHTML.slice(0, 120));
}"""


def assert_every_control_is_reached_by_tab(region: Any) -> list[str]:
    """Walk through the region by Tab alone: every stop is met once, in order, and seen."""
    page = region.page
    stops = region.evaluate_handle(_STOPS)
    expected = stops.evaluate(f"stops => stops.map({_NAME})")
    stops.evaluate("stops => stops[0].focus()")
    met = []
    for _ in expected:
        met.append(stops.evaluate("stops => stops.indexOf(document.activeElement)"))
        ring = page.evaluate(
            "(() => { const s = getComputedStyle(document.activeElement);"
            " return s.outlineStyle !== 'none' || s.boxShadow !== 'none'; })()"
        )
        # The first one was focused by script, which does not always show where the focus is.
        assert ring or len(met) == 1, f"no focus ring: {expected[met[-1]]}"
        page.keyboard.press("Tab")
    assert met == list(range(len(expected))), (met, expected)
    assert all(name.split(" ", 1)[1] for name in expected), expected
    return expected


def assert_fits(region: Any) -> None:
    """Nothing reaches over the right edge of the explorer, nor the explorer over the page's."""
    assert region.evaluate(_OUTSIDE) == []
    wide = region.evaluate("r => [r.getBoundingClientRect().right, r.parentElement.clientWidth]")
    assert wide[0] <= region.page.viewport_size["width"], wide
    assert region.evaluate("r => r.scrollWidth - r.clientWidth") <= 1
