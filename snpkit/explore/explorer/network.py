"""SharedNetworkExplorer: the same layers in their two roles, side by side."""

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from snpkit.errors import UserError
from snpkit.explore.attention import AttentionMaps, AttentionPass, attention_maps
from snpkit.explore.explanation import read_caption
from snpkit.explore.explorer import clips
from snpkit.explore.explorer.base import Explorer, State, View, whole
from snpkit.explore.explorer.view import levels
from snpkit.explore.plots.style import clean

if TYPE_CHECKING:
    from snpkit.explore.protocols import TrainedModel

_FIRST = "generated/test-000008.mp4"


class SharedNetworkExplorer(Explorer):
    """Attention of every layer and head, alone and cross-modal, on one scale.

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

    title = "One network in two roles"

    caption = State(lambda self, value: self._check_caption(value))
    clip = State(lambda self, value: self._check_clip(value))
    layer = State(lambda self, value: whole(value, "layer", 0, self._layers - 1))
    head = State(lambda self, value: self._check_head(value))
    query = State(lambda self, value: whole(value, "token", 0, 10_000))

    def __init__(
        self,
        pipeline: "TrainedModel | None" = None,
        caption: str | None = None,
        video: "str | Path | Tensor | None" = None,
    ) -> None:
        """Read a caption and a clip.

        Args:
            pipeline: what `snpkit.load` gave; None = the shipped model.
            caption: None = the clip's own.
            video: see `clip`; None = a shipped clip.

        Raises:
            UserError: no word in the caption, or no such clip; VideoError: it cannot be read.
        """
        super().__init__()
        self.pipeline = clips.shipped_model() if pipeline is None else pipeline
        self._read = lru_cache(maxsize=16)(self._maps)
        video = _FIRST if video is None else video
        own = clips.captions_of(video) or clips.captions_of(_FIRST)
        start = {"clip": video, "layer": 0, "head": None, "query": 0}
        self.change(caption=own[-1] if caption is None else caption, **start)

    @property
    def maps(self) -> AttentionMaps:
        """Attention of all layers and heads in both roles."""
        return self._read(self.caption, clips.source_of(self.clip))

    @property
    def layers(self) -> int:
        """Number of layers of the deeper role."""
        return max(len(one.names) for one in self._roles().values())

    @property
    def tokens(self) -> list[str]:
        """The tokens that may look: those of the cross-modal pass, if there is one."""
        return (self.maps.together or self.maps.alone).tokens

    def weights(self) -> dict[str, list[tuple[str, float]]]:
        """Per role how much the querying token looks at each token: (token, weight), summing to 1.

        A role ("alone", "cross-modal") is left out where it lacks the layer or the token.
        """
        return {
            role: list(
                zip(one.tokens, one.matrix(self.layer, self.head)[self.query].tolist(), strict=True)
            )
            for role, one in self._roles().items()
            if self.layer < len(one.names) and self.query < len(one.tokens)
        }

    def proof(self, layer: int) -> str:
        """Whether a layer is the very same one in both roles, in a sentence."""
        maps = self.maps
        if not maps.shares_weights(layer):
            return ""
        own = maps.alone.parameters(layer)
        numbers = sum(parameter.numel() for parameter in own)
        return (
            f"✓ Same weights: {maps.alone.names[layer]} ran in both roles; all {len(own)} "
            f"parameter tensors ({numbers:,} numbers) are the very same objects."
        )

    def summary(self) -> str:
        """Where the querying token looks most in each role."""
        heads = self.maps.alone.weights.shape[1]
        which = f"mean of {heads} heads" if self.head is None else f"head {self.head}"
        video = clips.clip_name(self.clip)
        lines = [f"Attention of layer {self.layer}, {which}: “{self.caption}” with {video}"]
        for role, pairs in self.weights().items():
            most = sorted(pairs, key=lambda pair: -pair[1])[:4]
            said = ", ".join(f"{token} {weight:.2f}" for token, weight in most)
            lines.append(f"  {role}: {self.tokens[self.query]} → {said}")
        proof = self.proof(self.layer)
        return "\n".join([*lines, *([f"  {proof}"] if proof else [])])

    def settle(self, names: set[str]) -> None:
        """A new caption or clip gets a querying token of its own."""
        if names & {"caption", "clip"} and not ({"query"} & names and self.state["query"]):
            self.state["query"] = self._telling_token()
        if self.state["query"] >= len(self.tokens):
            raise UserError(
                f"The token must be a whole number from 0 to {len(self.tokens) - 1}, not "
                f"{self.state['query']!r}."
            )

    def draw(self) -> View:
        """All weights of both roles, the querying token, and the proof."""
        maps = self.maps
        note = maps.note
        if maps.left_out:
            words = ", ".join(maps.left_out)
            note += f" The model reads 30 tokens; these words come after them: {words}."
        return {
            "name": "network",
            "fields": clips.fields(self.caption, self.clip),
            "roles": {
                role: {
                    "tokens": [clean(token) for token in one.tokens],
                    "layers": len(one.names),
                    "weights": levels(one.weights),
                }
                for role, one in self._roles().items()
            },
            "heads": maps.alone.weights.shape[1],
            "layer": self.layer,
            "head": self.head,
            "query": self.query,
            "proofs": [self.proof(layer) for layer in range(self.layers)],
            "note": note,
        }

    def _roles(self) -> dict[str, AttentionPass]:
        both = {"alone": self.maps.alone, "cross-modal": self.maps.together}
        return {role: one for role, one in both.items() if one is not None}

    def _maps(self, caption: str, source: "Path | Tensor") -> AttentionMaps:
        return attention_maps(self.pipeline, caption, source)

    def _telling_token(self) -> int:
        """Place of the first noun that the table knows, else of the first token after [CLS]."""
        batch, _, _ = read_caption(self.pipeline.tokenizer, self.caption)
        table = self.pipeline.table
        for place, word in enumerate(batch.words[0]):
            if table is not None and next(iter(table.parts_of(word)), None) == "NOUN":
                return int((batch.word_ids[0] == place).nonzero()[0])
        return 1

    @property
    def _layers(self) -> int:
        return self.pipeline.model.config.num_hidden_layers if not self.state else self.layers

    def _check_caption(self, value: Any) -> str:
        return clips.caption_of(value, self.pipeline.tokenizer)

    def _check_clip(self, value: Any) -> Any:
        clip = clips.named_clip(value, _FIRST)
        clips.source_of(clip)
        return clip

    def _check_head(self, value: Any) -> int | None:
        heads = self.pipeline.model.config.num_attention_heads
        return None if value is None else whole(value, "head", 0, heads - 1)
