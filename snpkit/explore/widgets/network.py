"""SharedNetworkExplorer: the same layer in its two roles, side by side."""

from pathlib import Path
from typing import Any

import ipywidgets
from torch import Tensor

import snpkit
from snpkit.explore.attention import AttentionMaps, attention_maps
from snpkit.explore.page import Html
from snpkit.explore.protocols import TrainedModel
from snpkit.explore.widgets import network_view
from snpkit.explore.widgets.base import Explorer, State, link
from snpkit.explore.widgets.controls import Note, Select, Slider, TextInput, TokenStrip
from snpkit.explore.widgets.sample_clips import (
    OWN,
    caption_of,
    captions_of,
    clip_name,
    clip_options,
    source_of,
    whole,
)

_FIRST = "generated/test-000008.mp4"
_MEAN = "mean"  # what the head's control calls None
_LEAD = (
    "One stack of layers reads the caption alone, and reads it again together with the clip "
    "tokens. See where one token looks in each role."
)
_HINT = "Choose the token that looks; the bars tell how much it looks at each of the others."


class SharedNetworkExplorer(Explorer):
    """Attention of one layer and head, alone and cross-modal, side by side on one scale.

        explorer = SharedNetworkExplorer(caption="a red fish is shaking over the meadow")
        explorer.layer, explorer.head, explorer.query = 2, None, 3

    Attributes:
        caption: any text with a word in it.
        clip: a shipped clip by its name ("generated/test-000008.mp4"), a path of your own, or
            uint8 frames [clips, frames, 3, height, width].
        layer: counted from 0, as in the model.
        head: counted from 0; None = mean over the heads.
        query: place of the querying token among `tokens`, 0 = [CLS].
    """

    caption = State("", lambda self, value: self._check_caption(value))
    clip = State(None, lambda self, value: self._check_clip(value))
    layer = State(0, lambda self, value: whole(value, self.layers, "layer"))
    head = State(None, lambda self, value: self._check_head(value))
    query = State(0, lambda self, value: whole(value, len(self.tokens), "token"))

    def __init__(
        self,
        pipeline: TrainedModel | None = None,
        caption: str | None = None,
        video: "str | Path | Tensor | None" = None,
        **options: Any,
    ) -> None:
        """Read a caption and a clip.

        Args:
            pipeline: what `snpkit.load` gave; None = the shipped laptop checkpoint.
            caption: None = the clip's own caption.
            video: see `clip`; None = a shipped clip.

        Raises:
            UserError: no word in the caption, or no such clip; VideoError: it cannot be read.
        """
        super().__init__(**options)
        self.pipeline = snpkit.load("laptop") if pipeline is None else pipeline
        self._found: AttentionMaps | None = None
        self.clip = _FIRST if video is None else video
        own = captions_of(self.clip) or captions_of(_FIRST)
        self.caption = own[-1] if caption is None else caption
        self.query = self._telling_token()
        self._shown = (self.clip, self.tokens)
        self._build()
        self.redraw(set())

    @property
    def maps(self) -> AttentionMaps:
        """Attention of all layers and heads in both roles."""
        assert self._found is not None  # made with the first caption
        return self._found

    @property
    def layers(self) -> int:
        """Number of layers of the deeper role."""
        return max(len(one.names) for one in (self.maps.alone, self.maps.together) if one)

    @property
    def tokens(self) -> list[str]:
        """The tokens that may look: those of the cross-modal pass, if there is one."""
        return (self.maps.together or self.maps.alone).tokens

    def weights(self) -> dict[str, list[tuple[str, float]]]:
        """Per role how much the querying token looks at each token: (token, weight), summing to 1.

        A role ("alone", "cross-modal") is left out where it lacks the layer or the token.
        """
        return self._view().weights()

    def picture(self) -> Html:
        """Both maps as one picture, and the querying token's weights as a table."""
        return network_view.picture(self._view(), clip_name(self.clip))

    def summary(self) -> str:
        """Where the querying token looks most in each role."""
        return network_view.summary(self._view(), clip_name(self.clip))

    def redraw(self, names: set[str]) -> None:
        """Show the state.

        A new clip brings its own caption along where the old clip's own one stood; a new caption
        without a querying token of its own gets one.
        """
        (clip, tokens), self._shown = self._shown, (self.clip, self.tokens)
        own = captions_of(self.clip)
        if "clip" in names and "caption" not in names and own and self.caption in captions_of(clip):
            self._shown = (self.clip, tokens)
            self.caption = own[-1]  # comes back here
            return
        if self.tokens != tokens and "query" not in names:
            self.query = self._telling_token()
        self._show_controls()
        self._roles.value = network_view.roles(self._view())
        left_out = ", ".join(self.maps.left_out)
        if left_out:
            self.say(f"The model reads 30 tokens; these words come after them: {left_out}.")

    def _view(self) -> network_view.View:
        return network_view.View(self.maps, self.layer, self.head, self.query)

    # Checks: a UserError is told in the status line, and the old value stays.

    def _check_caption(self, value: Any) -> str:
        caption = caption_of(value)
        self._found = self._maps(caption, self.clip)
        return caption

    def _check_clip(self, value: Any) -> Any:
        source_of(value)  # a twin tower reads no clip, but is told of a wrong one all the same
        if self._found is not None:
            self._found = self._maps(self.caption, value)
        return value

    def _maps(self, caption: str, clip: Any) -> AttentionMaps:
        return attention_maps(self.pipeline, caption, source_of(clip))

    def _check_head(self, value: Any) -> int | None:
        heads = self.maps.alone.weights.shape[1]
        return None if value is None else whole(value, heads, "head")

    def _telling_token(self) -> int:
        """Place of the first noun that the table knows, else of the first token after [CLS]."""
        table = self.pipeline.table
        for place, token in enumerate(self.maps.alone.tokens):
            if table is not None and "NOUN" in list(table.parts_of(token))[:1]:
                return place
        return 1

    # Controls.

    def _build(self) -> None:
        heads = self.maps.alone.weights.shape[1]
        mean = [_MEAN, f"Mean of the {heads} heads"]
        self._clips = Select(label="Clip")
        self._text = TextInput(label="Caption")
        self._layer = Slider(label="Layer", hint="Counted from 0, as in the model.")
        self._heads = Select(
            label="Head", options=[mean, *([str(n), f"Head {n}"] for n in range(heads))]
        )
        self._strip = TokenStrip(label="Querying token", several=False, hint=_HINT)
        self._roles = ipywidgets.HTML()
        self._roles.add_class("snpkit-view")
        link(self._text, self, "caption")
        link(self._layer, self, "layer", convert=int)
        self._clips.observe(self._clip_chosen, "value")
        self._heads.observe(self._head_chosen, "value")
        self._strip.observe(self._token_chosen, "selected")
        self._text.add_class("snpkit-wide")
        self._clips.add_class("snpkit-wide")
        row, more = (ipywidgets.Box(pair) for pair in (
            [self._text, self._clips], [self._layer, self._heads]))  # fmt: skip
        for box in (row, more):
            box.add_class("snpkit-row")
        self.add_class("snpkit-network")
        title = Note(kind="title", label="One network, two roles")
        self.show(title, Note(label=_LEAD), row, more, self._strip, self._roles)

    def _show_controls(self) -> None:
        options, chosen = clip_options(self.clip)
        with self._clips.hold_sync():
            self._clips.options, self._clips.value = options, chosen
        self._layer.maximum = self.layers - 1
        self._heads.value = _MEAN if self.head is None else str(self.head)
        with self._strip.hold_sync():
            self._strip.series = list(self._view().passes())
            self._strip.tokens = network_view.strip_tokens(self._view())
            self._strip.selected = [self.query]

    def _clip_chosen(self, change: Any) -> None:
        if change["new"] not in (OWN, str(self.clip)):
            self.clip = change["new"]

    def _head_chosen(self, change: Any) -> None:
        self.head = None if change["new"] == _MEAN else int(change["new"])

    def _token_chosen(self, change: Any) -> None:
        if change["new"]:
            self.query = change["new"][0]
        else:  # some token always looks
            self._strip.selected = [self.query]
