"""The method, drawn: from pixels to clip features, what each loss reads, masked captions."""

from collections.abc import Sequence

from .drawing import Box, Diagram


def patch_pipeline() -> Diagram:
    """Pixels -> patches -> grid features -> clip token -> clip feature (paper, sec. III-A)."""
    drawing = Diagram(
        720, 262,
        "The visual side, from left to right. The frames of a clip are cut into patches. The "
        "video encoder and a projection turn every patch into a grid feature of the network's "
        "width. The mean over frames and grid is one clip token, which the cross-modal pass reads. "
        "A two-layer perceptron and an L2 norm make the clip feature of it, which is matched with "
        "captions.",
    )  # fmt: skip
    stations = (
        (62, "pixels", "[frames, 3,\nheight, width]"),
        (200, "patches", "[frames, patches,\npixels of a patch]"),
        (396, "grid features", "[frames, h, w,\nhidden]"),
        (552, "clip token", "[hidden]"),
        (672, "clip feature", "[hidden],\nlength 1"),
    )
    for middle, name, shape in stations:
        drawing.label(middle, 30, name, size=13, bold=True)
        drawing.label(middle, 190, shape, size=11, kind="muted")
    for x, cut in ((12, False), (150, True)):
        _frames(drawing, x, cut)
    _grid(drawing, 346)
    _vector(drawing, 540, "video")
    _vector(drawing, 660, "text")
    for start, end, text in ((124, 144, ""), (264, 340, "encoder,\nprojection"),
                             (450, 534, "mean over\nframes, grid"),
                             (570, 654, "perceptron,\nL2 norm")):  # fmt: skip
        drawing.arrow((start, 118), (end, 118))
        drawing.label((start + end) / 2 - 3, 92, text, size=11, kind="muted")
    drawing.arrow((552, 198), (552, 228))
    drawing.arrow((672, 214), (672, 228))
    drawing.label(552, 246, "to the cross-modal pass", size=11, kind="video")
    drawing.label(708, 246, "dot product", size=11, kind="text", anchor="end")
    return drawing


def _frames(drawing: Diagram, x: float, cut: bool) -> None:
    """Three frames behind each other, the first with a ball on the ground; cut = into patches."""
    for behind in (2, 1, 0):
        place = (x + 10 * behind, 74 - 9 * behind, 88, 88)
        drawing.box(*place, kind="paper", strength=1.0)
        drawing.box(*place, kind="muted", strength=0.12 if behind else 0.0)
    if cut:
        side = 22
        for row in range(4):
            for column in range(4):
                drawing.box(x + side * column + 1.5, 74 + side * row + 1.5, side - 3, side - 3,
                            kind=_seen(row, column), strength=0.3)  # fmt: skip
    else:
        drawing.box(x, 140, 88, 22, kind="shared", strength=0.3)
        drawing.disc(x + 44, 118, 20, kind="loss")


def _seen(row: int, column: int) -> str:
    """What the picture of `_frames` shows at a patch: ground, ball or nothing."""
    if row == 3:
        return "shared"
    return "loss" if row in (1, 2) and column in (1, 2) else "muted"


def _grid(drawing: Diagram, x: float) -> None:
    for row in range(4):
        for column in range(4):
            strength = 0.15 + 0.5 * ((row * 7 + column * 5) % 8) / 8
            drawing.box(x + 25 * column, 70 + 25 * row, 22, 22, kind="video", strength=strength)


def _vector(drawing: Diagram, x: float, kind: str) -> None:
    for place in range(6):
        strength = 0.15 + 0.5 * (place * 5 % 6) / 6
        drawing.box(x, 66 + 18 * place, 24, 16, kind=kind, strength=strength)


def objectives() -> Diagram:
    """Which loss reads which feature (paper, sec. III-C and III-D)."""
    drawing = Diagram(
        720, 396,
        "What each loss reads. text_mlm: word vectors of the masked caption, read alone. lvwm: "
        "vectors of significant words of the whole caption, and clip features. gvtm_text_video: "
        "the pooled caption and clip features. gvtm_cross_modal: the pooled vector of the "
        "cross-modal pass, for pairs of captions and videos of the batch. cross_mlm: word vectors "
        "of the cross-modal pass, for the captions with their own videos. The total is the plain "
        "sum.",
    )  # fmt: skip
    for x, name in ((100, "what reads what"), (340, "feature"), (605, "loss")):
        drawing.label(x, 22, name, size=11, kind="muted")
    tops = (34, 92, 144, 196, 248, 306, 358)
    features = [
        drawing.box(240, top, 200, 30, name, kind=kind)
        for top, (name, kind) in zip(tops, _FEATURES, strict=True)
    ]
    alone = drawing.box(10, 28, 180, 42, "text pass", kind="shared", note="masked caption")
    whole = drawing.box(10, 92, 180, 82, "text pass", kind="shared", note="whole caption")
    visual = drawing.box(10, 196, 180, 82, "visual side", kind="video", note="pixels")
    pairs = drawing.box(10, 306, 180, 82, "cross-modal pass", kind="shared",
                        note="masked caption + clip tokens")  # fmt: skip
    for place, source in enumerate((alone, whole, whole, visual, visual, pairs, pairs)):
        drawing.arrow((source.right[0], features[place].left[1]), features[place].left)
    drawing.arrow(features[4].bottom, (340, 292), (100, 292), pairs.top, kind="video")
    losses = [drawing.box(500, top, 210, 30, name, kind="loss", strength=0.2)
              for top, name in zip((34, 110, 170, 306, 358), _LOSSES, strict=True)]  # fmt: skip
    _connect(drawing, features, losses)
    return drawing


_FEATURES = (
    ("word vectors", "text"), ("significant words' vectors", "text"), ("pooled caption", "text"),
    ("clip features", "video"), ("clip tokens", "video"), ("pooled pair", "own"),
    ("word vectors", "own"),
)  # fmt: skip
_LOSSES = ("text_mlm", "lvwm", "gvtm_text_video", "gvtm_cross_modal", "cross_mlm")


def _connect(drawing: Diagram, features: Sequence[Box], losses: Sequence[Box]) -> None:
    for feature, loss, shift in ((0, 0, 0), (1, 1, -6), (3, 1, 6), (2, 2, -6), (3, 2, 6), (5, 3, 0),
                                 (6, 4, 0)):  # fmt: skip
        x, y = losses[loss].left
        drawing.arrow(features[feature].right, (x, y + shift), kind="muted")
