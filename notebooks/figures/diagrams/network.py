"""The shared network and its rivals, drawn: who reads what, and with whose parameters."""

from collections.abc import Sequence

from snpkit.errors import UserError

from .drawing import Box, Diagram, fitting

_CAPTION = ("[CLS]", "a", "ball", "moves", "[SEP]")
_CLIPS = ("clip 1", "clip 2", "[SEP]")
_GAP = 8


def transformer_layer() -> Diagram:
    """One layer of the network: attention over all tokens, then a perceptron for each."""
    drawing = Diagram(
        720, 210,
        "One transformer layer, from left to right. Token vectors go into multi-head "
        "self-attention, where every token looks at all tokens that the attention mask allows; the "
        "result is added to the input and normalised. A feed-forward network of two linear maps "
        "with GELU between them then works on every token by itself; again the result is added "
        "and normalised. As many vectors come out as went in.",
    )  # fmt: skip
    middle = 112.0
    source = drawing.box(12, 82, 82, 60, "tokens", kind="text", note="[tokens,\nhidden]")
    attention = drawing.box(140, 67, 150, 90, "self-attention", kind="shared",
                            note="softmax(Q Kᵀ / √d) V\nin every head")  # fmt: skip
    first = drawing.box(314, 82, 66, 60, "add,\nnorm", kind="ink", strength=0.06)
    forward = drawing.box(426, 67, 130, 90, "feed-forward", kind="shared",
                          note="linear, GELU,\nlinear")  # fmt: skip
    second = drawing.box(580, 82, 56, 60, "add,\nnorm", kind="ink", strength=0.06)
    target = drawing.box(660, 82, 50, 60, "out", kind="text", note="same\nshape")
    for start, end in ((source, attention), (attention, first), (first, forward),
                       (forward, second), (second, target)):  # fmt: skip
        drawing.arrow(start.right, end.left)
    for start, end in ((117.0, first), (403.0, second)):
        drawing.arrow((start, middle), (start, 40), (end.top[0], 40), end.top)
    drawing.label(216, 32, "unchanged", size=11, kind="muted")
    drawing.label(506, 32, "unchanged", size=11, kind="muted")
    drawing.arrow((215, 188), attention.bottom, dashed=True)
    drawing.label(215, 202, "attention mask: who may be looked at", size=11, kind="muted")
    drawing.label(491, 180, "each token by itself", size=11, kind="muted")
    return drawing


def shared_network(role: str = "alone") -> Diagram:
    """One BERT in one of its two roles (paper, sec. III-B).

    Args:
        role: "alone" (text pass: the caption) or "cross_modal" (caption, then clip tokens).

    Raises:
        UserError: another role.
    """
    if role not in ("alone", "cross_modal"):
        raise UserError(f"The shared network has the roles 'alone' and 'cross_modal', not {role!r}")
    both = role == "cross_modal"
    read = "a caption followed by clip tokens and a second [SEP]" if both else "a caption alone"
    positions = (
        " Positions restart at 0 and the token type is 1 at the clip tokens." if both else ""
    )
    pooler = "the cross-modal pooler, the only part of its own" if both else "BERT's own pooler"
    drawing = Diagram(
        720, 334,
        f"The shared network reads {read}. Each token gets a position and a token type.{positions} "
        "Embeddings and layers are the same in both roles. One contextual vector comes out per "
        f"token; the first goes through {pooler}.",
    )  # fmt: skip
    right = _LEFT + _width((*_CAPTION, *_CLIPS))
    embeddings = drawing.box(_LEFT, 206, right - _LEFT, 30, "embeddings", kind="shared")
    layers = drawing.box(_LEFT, 126, right - _LEFT, 56, "BERT layers", kind="shared",
                         note="the same parameters in both roles")  # fmt: skip
    inputs, outputs = _tokens(drawing, 262, both), _tokens(drawing, 74, both)
    _positions_and_types(drawing, inputs)
    for lower, upper in zip(inputs, outputs, strict=True):
        x = lower.top[0]
        drawing.arrow(lower.top, (x, embeddings.bottom[1]))
        drawing.arrow((x, embeddings.y), (x, layers.bottom[1]))
        drawing.arrow((x, layers.y), upper.bottom)
    _poolers(drawing, outputs[0], both)
    drawing.label(right + 14, 84, "contextual\nvectors", size=11, kind="muted", anchor="start")
    drawing.label(right + 14, 279, "what is read", size=11, kind="muted", anchor="start")
    return drawing


def three_fusion() -> Diagram:
    """P3E: a separate encoder, with embeddings of its own, reads captions and clips together."""
    drawing = Diagram(
        720, 290,
        "Three-fusion, P3E. A text encoder, BERT, reads the caption. A video encoder makes clip "
        "tokens of the pixels. A separate cross-modal encoder, with embeddings of its own and "
        "three layers, reads caption and clip tokens together. Text encoder and cross-modal "
        "encoder share no parameter.",
    )  # fmt: skip
    caption = drawing.box(40, 240, 190, 30, "caption", kind="text")
    video = drawing.box(470, 240, 190, 30, "pixels of the video", kind="video")
    text = drawing.box(40, 148, 190, 58, "text encoder", kind="own", note="BERT, 12 layers")
    visual = drawing.box(
        470, 148, 190, 58, "video encoder", kind="video", note="ends in clip tokens"
    )
    cross = drawing.box(255, 76, 190, 62, "cross-modal encoder", kind="own",
                        note="its own embeddings\nand 3 layers")  # fmt: skip
    drawing.arrow(caption.top, text.bottom)
    drawing.arrow(video.top, visual.bottom)
    drawing.arrow(caption.right, (320, 255), (320, cross.bottom[1]))
    drawing.arrow(visual.left, (380, visual.left[1]), (380, cross.bottom[1]), kind="video")
    _matching(drawing, text, visual)
    drawing.arrow(cross.top, (350, 56))
    drawing.label(350, 48, "cross-modal features", bold=True)
    return drawing


def twin_tower() -> Diagram:
    """Two encoders that meet in a dot product only."""
    drawing = Diagram(
        720, 234,
        "Twin tower. A text encoder, BERT, reads the caption and a video encoder reads the pixels. "
        "Their features meet in a dot product only: nothing reads words and clips together.",
    )  # fmt: skip
    caption = drawing.box(40, 190, 190, 30, "caption", kind="text")
    video = drawing.box(470, 190, 190, 30, "pixels of the video", kind="video")
    text = drawing.box(40, 98, 190, 58, "text encoder", kind="own", note="BERT, 12 layers")
    visual = drawing.box(
        470, 98, 190, 58, "video encoder", kind="video", note="ends in clip features"
    )
    drawing.arrow(caption.top, text.bottom)
    drawing.arrow(video.top, visual.bottom)
    score = drawing.box(275, 14, 150, 32, "dot product", kind="loss")
    drawing.arrow(text.top, (text.top[0], score.left[1]), score.left)
    drawing.arrow(visual.top, (visual.top[0], score.right[1]), score.right)
    drawing.label(350, 70, "one score per pair", size=11, kind="muted")
    drawing.label(128, 72, "pooled caption", bold=True, anchor="end")
    drawing.label(572, 72, "clip feature", bold=True, anchor="start")
    drawing.label(350, 132, "no cross-modal pass", kind="muted")
    return drawing


_LEFT = 96


def _matching(drawing: Diagram, text: Box, visual: Box) -> None:
    """The dot product of pooled caption and clip feature, above all encoders."""
    for box, name in ((text, "pooled caption"), (visual, "clip feature")):
        middle = box.top[0]
        drawing.arrow(box.top, (middle, 98))
        drawing.label(middle, 90, name, bold=True)
        drawing.arrow((middle, 74), (middle, 24), (350, 24), head=False, dashed=True)
    drawing.label(350, 16, "dot product", size=11, kind="muted")


def _width(texts: Sequence[str]) -> float:
    return sum(_token_width(text) + _GAP for text in texts) - _GAP


def _token_width(text: str) -> float:
    return max(44, round(fitting(text)))


def _tokens(drawing: Diagram, y: float, both: bool) -> list[Box]:
    boxes = drawing.row(_LEFT, y, _CAPTION, least=44, gap=_GAP)
    if both:
        start = boxes[-1].right[0] + _GAP
        boxes += drawing.row(start, y, _CLIPS, kind="video", least=44, gap=_GAP)
    return boxes


def _positions_and_types(drawing: Diagram, inputs: list[Box]) -> None:
    drawing.label(86, 304, "position", size=11, kind="muted", anchor="end")
    drawing.label(86, 320, "token type", size=11, kind="muted", anchor="end")
    for place, box in enumerate(inputs):
        clip = place >= len(_CAPTION)
        kind = "video" if clip else "text"
        drawing.label(box.top[0], 304, str(place - len(_CAPTION) * clip), kind=kind)
        drawing.label(box.top[0], 320, str(int(clip)), kind=kind)


def _poolers(drawing: Diagram, first: Box, both: bool) -> None:
    """BERT's pooler and the one of the cross-modal pass; the idle one is only outlined."""
    for x, name, used in ((_LEFT, "BERT's pooler", not both), (300, "cross-modal pooler", both)):
        kind = "own" if used else "muted"
        box = drawing.box(x, 8, 160, 42, name, kind=kind, dashed=not used,
                          strength=0.14 if used else 0.0,
                          note="" if used else "not in this role")  # fmt: skip
        if used:
            start = first.top
            drawing.arrow(start, (start[0], 61), (box.bottom[0], 61), box.bottom)
