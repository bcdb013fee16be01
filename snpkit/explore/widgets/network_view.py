"""What the SharedNetworkExplorer shows: pure functions from attention maps to HTML and text."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from snpkit.explore.attention import AttentionMaps, AttentionPass
from snpkit.explore.page import Html, join, tag
from snpkit.explore.plots.style import to_html_img
from snpkit.explore.widgets import heat_map

_NONE = "\N{EN DASH}"  # no such weight
ROLES = {"alone": "Alone: the caption", "cross-modal": "Cross-modal: caption + clip tokens"}
STYLE = (
    heat_map.STYLE
    + """
.snpkit-view .widget-html-content { line-height: 1.45; white-space: normal; overflow: visible;
  font: 14px/1.45 var(--sk-font); }
.snpkit-roles { display: grid; gap: 18px 24px;
  grid-template-columns: repeat(auto-fit, minmax(min(var(--need, 350px), 100%), 1fr)); }
.snpkit-roles section { min-width: 0; padding-top: 14px; border-top: 1px solid var(--sk-line); }
.snpkit-view h4 { margin: 0; font: 600 15px/1.3 var(--sk-font); color: var(--sk-ink); }
.snpkit-view p { margin: 2px 0 12px; font-size: 12.5px; color: var(--sk-muted);
  overflow-wrap: anywhere; }
.snpkit-view p.snpkit-same { font-size: 14px; color: var(--sk-ink); margin: 16px 0 0;
  padding: 9px 12px; background: var(--sk-wash); border-radius: 6px; max-width: none; }
.snpkit-view code { font: 12px ui-monospace, Menlo, Consolas, monospace; color: var(--sk-ink);
  background: none; padding: 0; }
.snpkit-scroll { overflow-x: auto; padding: 2px; }
.snpkit-scroll:focus-visible { outline: 2px solid var(--sk-accent); }
.snpkit-network .snpkit-detail { min-height: 56px; }
.snpkit-scale { display: flex; flex-wrap: wrap; align-items: center; gap: 2px 8px;
  font-size: 12.5px; color: var(--sk-muted); margin-top: 14px; }
.snpkit-scale i { width: 120px; height: 10px; border-radius: 2px; flex: none;
  background: linear-gradient(to right, var(--sk-wash), var(--sk-accent)); }
"""
)


@dataclass(frozen=True)
class View:
    """One layer and head (None = mean) of attention maps, and the querying token."""

    maps: AttentionMaps
    layer: int
    head: int | None
    query: int

    def passes(self) -> dict[str, AttentionPass]:
        """The roles that have the layer."""
        roles = {"alone": self.maps.alone, "cross-modal": self.maps.together}
        return {r: one for r, one in roles.items() if one and self.layer < len(one.names)}

    def matrix(self, one: AttentionPass) -> list[list[float]]:
        """Weights [T (querying), T (attended)]."""
        return one.matrix(self.layer, self.head).tolist()

    def weights(self) -> dict[str, list[tuple[str, float]]]:
        """Per role how much the querying token looks at each token."""
        return {
            role: list(zip(one.tokens, self.matrix(one)[self.query], strict=True))
            for role, one in self.passes().items()
            if self.query < len(one.tokens)
        }

    @property
    def tokens(self) -> list[str]:
        """Tokens of the longest input."""
        return (self.maps.together or self.maps.alone).tokens

    @property
    def what(self) -> str:
        """The layer and head in words."""
        heads = self.maps.alone.weights.shape[1]
        head = f"mean of {heads} heads" if self.head is None else f"head {self.head}"
        return f"layer {self.layer}, {head}"

    @property
    def largest(self) -> float:
        """The largest weight of both roles: the end of their common scale."""
        return max(one.matrix(self.layer, self.head).max().item() for one in self.passes().values())


def strip_tokens(view: View) -> list[dict[str, Any]]:
    """Tokens of the strip: how much the querying token looks at each, in every role."""
    found = view.weights()
    top = max((weight for row in found.values() for _, weight in row), default=1.0)
    shown = []
    for place, token in enumerate(view.tokens):
        row = {role: pairs[place][1] for role, pairs in found.items() if place < len(pairs)}
        bars = [
            {"value": row[role] / top, "text": f"{row[role]:.2f}"}
            if role in row
            else {"value": 0.0, "text": _NONE}
            for role in view.passes()
        ]
        weights = ", ".join(f"{row[role]:.3f} {role}" for role in row)
        absent = [role for role in found if role not in row]
        detail = [
            f"{view.tokens[view.query]} → {token}",
            f"Attention weight: {weights}" + ("; not in the input alone." if absent else "."),
        ]
        shown.append({"text": token, "bars": bars, "detail": detail})
    return shown


def roles(view: View) -> Html:
    """Both roles side by side as heat maps on one scale, and whose weights they are."""
    passes = view.passes()
    need = max(350, heat_map.width_of(view.tokens) + 4)  # side by side only where both fit
    sections = [_role(view, role, passes.get(role)) for role in ROLES]
    scale = tag(
        "div", "0", tag("i", aria_hidden="true"), f"{view.largest:.2f}: one scale for both maps. "
        "Each row sums to 1; the framed row is the querying token's.", class_="snpkit-scale",
    )  # fmt: skip
    return join(
        tag("style", Html(STYLE)),
        tag("div", *sections, class_="snpkit-roles", style=f"--need:{need}px"),
        scale,
        _same(view),
    )


def _role(view: View, role: str, one: AttentionPass | None) -> Html:
    title = tag("h4", ROLES[role])
    if one is None:
        return tag("section", title, tag("p", missing(view, role)))
    name, caption = one.names[view.layer], len(view.maps.alone.tokens)
    drawn = heat_map.heat_map(
        view.matrix(one), one.tokens, largest=view.largest, query=view.query, caption=caption,
        alt=in_words(view, role), longest=view.tokens,
    )  # fmt: skip
    label = f"Heat map, {role}"
    scroll = tag("div", drawn, class_="snpkit-scroll", tabindex=0, role="group", aria_label=label)
    return tag(
        "section", title, tag("p", "Layer that ran: ", tag("code", name)), scroll,
        data_role=role,
    )  # fmt: skip


def missing(view: View, role: str) -> str:
    """Why a role has nothing to show."""
    one = view.maps.together if role == "cross-modal" else view.maps.alone
    if one is None:
        return view.maps.note
    return f"This encoder has {len(one.names)} layers: there is no layer {view.layer}."


def _same(view: View) -> Html:
    """Whether both roles ran the same parameters, and how one can see it."""
    return tag("p", same_in_words(view, addresses=True), class_="snpkit-same")


def same_in_words(view: View, *, addresses: bool = False) -> str:
    """Whether both roles ran the same parameters.

    Args:
        addresses: also say where the query weights lie; another place in every process.
    """
    passes = view.passes()
    if len(passes) < 2:
        return view.maps.note if view.maps.together is None else missing(view, _absent(passes))
    parameters = [one.parameters(view.layer) for one in passes.values()]
    tensors, numbers = len(parameters[0]), sum(p.numel() for p in parameters[0])
    lie = ""
    if addresses:
        places = [hex(one.modules[view.layer].attention.self.query.weight.data_ptr())
                  for one in passes.values()]  # fmt: skip
        lie = f" Its query weights lie at {places[0]} alone, at {places[1]} cross-modal."
    if view.maps.shares_weights(view.layer):
        name = passes["alone"].names[view.layer]
        return (
            f"✓ Same weights: {name} ran in both roles; all {tensors} parameter tensors "
            f"({numbers:,} numbers) are the very same objects.{lie}"
        )
    return f"Different weights. {view.maps.note}{lie}"


def _absent(passes: dict[str, AttentionPass]) -> str:
    return next(role for role in ROLES if role not in passes)


def strongest(pairs: Sequence[tuple[str, float]], most: int = 3) -> str:
    """The tokens that are looked at most, with their weights, in words."""
    best = sorted(pairs, key=lambda pair: -pair[1])[:most]
    return ", ".join(f"{token} {weight:.2f}" for token, weight in best)


def in_words(view: View, role: str) -> str:
    """What the heat map of a role shows."""
    one = view.passes()[role]
    said = f"Attention {role}, {view.what}: {len(one.tokens)} by {len(one.tokens)} tokens."
    pairs = view.weights().get(role)
    if pairs is None:
        return f"{said} {view.tokens[view.query]} is not in this input."
    return f"{said} {view.tokens[view.query]} looks most at {strongest(pairs)}."


def summary(view: View, clip: str) -> str:
    """The state in a few lines."""
    lines = [f"Attention of {view.what}: “{view.maps.caption}” with {clip}"]
    found = view.weights()
    for role in ROLES:
        if role in found:
            lines.append(f"  {role}: {view.tokens[view.query]} → {strongest(found[role], 4)}")
        elif role in view.passes():
            lines.append(f"  {role}: {view.tokens[view.query]} is not in this input.")
        else:
            lines.append(f"  {role}: {missing(view, role)}")
    return "\n".join([*lines, f"  {same_in_words(view)}"])


def picture(view: View, clip: str) -> Html:
    """The state as plain HTML: text, one picture, and the querying token's weights as a table."""
    token = view.tokens[view.query]
    panels = [(ROLES[role].split(":")[0], view.matrix(one), one.tokens)
              for role, one in view.passes().items()]  # fmt: skip
    alt = " ".join(in_words(view, role) for role in view.passes())
    title = f"{view.what[0].upper()}{view.what[1:]}"
    figure = heat_map.heat_figure(panels, query=view.query, title=title, alt=alt)
    return tag(
        "div",
        tag("p", tag("strong", "The shared network in its two roles"), tag("br"),
            f"“{view.maps.caption}” with {clip}"),
        Html(to_html_img(figure)),
        tag("p", f"Where “{token}” looks ({view.what}):"),
        _table(view),
        tag("p", same_in_words(view)),
    )  # fmt: skip


def _table(view: View) -> Html:
    found = view.weights()
    head = tag("tr", tag("th", "token"), *(tag("th", role) for role in found))
    rows = [
        tag("tr", tag("th", token), *(
            tag("td", f"{pairs[place][1]:.3f}" if place < len(pairs) else _NONE)
            for pairs in found.values()
        ))
        for place, token in enumerate(view.tokens)
    ]  # fmt: skip
    return tag("table", tag("thead", head), tag("tbody", *rows))
