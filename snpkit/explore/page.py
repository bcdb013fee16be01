"""Self-contained HTML pages: escaping by construction, one calm style, nothing from elsewhere."""

import base64
import hashlib
import html
import io
import json
from typing import Any

import numpy as np

from snpkit.explore.plots.style import clean, to_frames


class Html(str):
    """Text that is HTML already; plain strings are escaped wherever they meet one."""

    __slots__ = ()


def tag(name: str, /, *children: str | None, **attributes: object) -> Html:
    """An element. Children that are not `Html`, and all attributes, are escaped.

    Attributes: `class_="x"` gives class="x", `aria_label` gives aria-label; True gives a bare
    attribute; None and False leave it out.
    """
    said = []
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        key = key.rstrip("_").replace("_", "-")
        said.append(f" {key}" if value is True else f' {key}="{escape(value)}"')
    start = f"<{name}{''.join(said)}>"
    if name in ("img", "meta", "br", "hr"):
        return Html(start)
    return Html(f"{start}{join(*children)}</{name}>")


def join(*children: str | None) -> Html:
    """Several pieces in a row; plain strings are escaped."""
    return Html("".join(c if isinstance(c, Html) else escape(c) for c in children if c is not None))


def escape(value: object) -> Html:
    """Any value as text of a page."""
    return Html(html.escape(clean(str(value))))


def film_strip(frames: Any, alt: str, *, quality: int = 82) -> Html:
    """Frames side by side as one <img>, lazily decoded by the browser.

    Args:
        frames: uint8 [frames, 3, height, width].
        alt: what the frames show.
        quality: of the JPEG, 1 to 95.
    """
    from PIL import Image

    pictures = to_frames(frames)
    gap = np.full((pictures.shape[1], 2, 3), 255, dtype=np.uint8)
    pieces = [piece for picture in pictures for piece in (gap, picture)][1:]
    strip = np.concatenate(pieces, axis=1)
    buffer = io.BytesIO()
    Image.fromarray(strip).save(buffer, format="JPEG", quality=quality, optimize=True)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    return tag(
        "img",
        src=f"data:image/jpeg;base64,{data}",
        alt=alt,
        width=strip.shape[1],
        height=strip.shape[0],
    )


def page(title: str, body: Html, style: str = "", *, script: str = "", view: Any = None) -> str:
    """A whole document. Its policy forbids all that is not in the file, and other scripts.

    Args:
        style: CSS rules of this kind of page, after those that all pages share.
        script: a JavaScript module that the page runs.
        view: what the script finds as JSON in the element "view".
    """
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    allowed = f"; script-src 'sha256-{digest}'" if script else ""
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'{allowed}"
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", title),
        tag("style", Html(STYLE + style)),
    )
    scripts = []
    if script:
        data = json.dumps(view, ensure_ascii=False).replace("<", "\\u003c")
        scripts = [tag("script", Html(data), id="view", type="application/json"),
                   tag("script", Html(script), type="module")]  # fmt: skip
    return "<!doctype html>\n" + tag("html", head, tag("body", body, *scripts), lang="en") + "\n"


STYLE = """
:root {
  --paper: #fcfbf9; --card: #ffffff; --ink: #1b2127; --muted: #56626d; --grid: #e2e5e7;
  --blue: #0072b2; --orange: #b87700; --green: #00795a; --red: #b84f00; --other: #7a858f;
  --tint: 0 114 178; --depth: 70%;
  --sans: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
  --serif: Charter, "Iowan Old Style", "Palatino Linotype", Palatino, Georgia, serif;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14181c; --card: #1b2025; --ink: #e7e5e1; --muted: #a3adb6; --grid: #333b42;
    --blue: #6fbdf0; --orange: #f0b43c; --green: #3fc99d; --red: #f08a4b; --other: #98a2ab;
    --tint: 86 170 226; --depth: 45%;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.6 var(--sans); }
main { max-width: 60rem; margin: 0 auto; padding: 3.5rem 1.5rem 5rem; }
h1, h2, h3 { overflow-wrap: anywhere; }
h1, h2 { font-family: var(--serif); font-weight: 600; line-height: 1.2; text-wrap: balance; }
h1 { font-size: clamp(1.9rem, 5vw, 2.7rem); margin: 0 0 1rem; letter-spacing: -0.01em; }
h2 { font-size: 1.55rem; margin: 0 0 0.5rem; }
h3 { font-size: 1rem; font-weight: 600; margin: 0; }
p { margin: 0 0 1rem; max-width: 42rem; text-wrap: pretty; }
section { margin-top: 4rem; padding-top: 1.75rem; border-top: 1px solid var(--grid); }
.kicker { color: var(--muted); font-size: 0.85rem; letter-spacing: 0.04em; margin: 0 0 0.75rem; }
.lede { font: 1.2rem/1.55 var(--serif); }
.lede strong { color: var(--blue); font-weight: 600; white-space: nowrap; }
.note, figcaption { color: var(--muted); font-size: 0.875rem; }
.wide { overflow-x: auto; margin: 1.5rem 0; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--muted); font-size: 0.875rem; padding-bottom: 0.5rem; }
th, td { padding: 0.45rem 0.75rem; text-align: right; border-bottom: 1px solid var(--grid); }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
th:last-child, td:last-child { padding-right: 0; }
thead th { color: var(--muted); font-weight: 500; font-size: 0.85rem; white-space: nowrap; }
tbody th { font-weight: 400; }
tbody th[scope=rowgroup] { font-weight: 600; padding-top: 1.4rem; }
tr.chance td, tr.chance th { color: var(--muted); }
td .bar { display: block; height: 3px; margin-top: 3px; background: var(--grid); }
td .bar i { display: block; height: 100%; background: var(--blue); }
tr.chance .bar i { background: var(--other); }
figure { margin: 0; }
svg { display: block; width: 100%; height: auto; }
svg text { font-variant-numeric: tabular-nums; }
.charts { display: grid; gap: 1.75rem 1.5rem; margin: 1.75rem 0;
  grid-template-columns: repeat(auto-fill, minmax(min(16rem, 100%), 1fr)); }
.charts.wide-ones { grid-template-columns: repeat(auto-fill, minmax(min(22rem, 100%), 1fr)); }
.example { margin: 2.75rem 0 0; }
.example > p { margin: 0.6rem 0 0.75rem; }
.answers { list-style: none; margin: 0; padding: 0; display: grid; gap: 1rem;
  grid-template-columns: repeat(auto-fill, minmax(min(16rem, 100%), 1fr)); }
.answers li { background: var(--card); border: 1px solid var(--grid); border-radius: 6px;
  overflow: hidden; }
.answers li.true { border-color: var(--green); box-shadow: 0 0 0 2px var(--green); }
.answers img { display: block; width: 100%; height: auto; background: var(--grid); }
.answers div { padding: 0.5rem 0.75rem 0.7rem; font-size: 0.85rem; line-height: 1.4; }
.answers p { margin: 0.15rem 0 0; color: var(--muted); overflow-wrap: anywhere; }
.place { font-weight: 600; }
.mark { color: var(--green); font-weight: 600; }
.score { color: var(--muted); float: right; font-variant-numeric: tabular-nums; }
.words { font-size: 1.15rem; line-height: 1.2; margin: 0; overflow-wrap: anywhere;
  font-weight: 400; display: flex; flex-wrap: wrap; gap: 0.5rem 0.35rem; align-items: flex-start; }
.word { display: inline-flex; flex-direction: column; align-items: stretch; text-align: center;
  min-width: 0; max-width: 100%; unicode-bidi: isolate; }
.word b { font-weight: 400; padding: 0.15rem 0; }
.word.on b { padding: 0.15rem 0.4rem; border-radius: 4px;
  background: rgb(var(--tint) / calc(8% + var(--s) * var(--depth))); }
.word .bar { height: 3px; margin: 2px 0 1px; background: var(--grid); }
.word .bar i { display: block; height: 100%; width: calc(var(--s, 0) * 100%);
  background: var(--blue); }
.legend { font-size: 0.95rem; margin-bottom: 1rem; }
.word small { font-size: 0.7rem; color: var(--muted); white-space: nowrap; }
.facts { display: grid; grid-template-columns: fit-content(14rem) minmax(0, 1fr); gap: 0.5rem 2rem;
  margin: 1.5rem 0 0; }
.facts dt { color: var(--muted); min-width: 6rem; overflow-wrap: anywhere; }
.facts dd { margin: 0; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
code { font: 0.9em/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
footer { margin-top: 4rem; color: var(--muted); font-size: 0.85rem; }
@media (max-width: 36rem) {
  main { padding: 2rem 1rem 3rem; }
  section { margin-top: 3rem; }
  th, td { padding: 0.4rem 0.25rem; font-size: 0.85rem; }
  thead th { white-space: normal; vertical-align: bottom; }
  .facts { grid-template-columns: fit-content(9rem) minmax(0, 1fr); gap: 0.5rem 1rem; }
}
@media print { .answers li, .example { break-inside: avoid; } }
"""
