"""The downstream tasks, drawn: three heads on one shared network."""

from .drawing import Diagram


def downstream_heads() -> Diagram:
    """What retrieval, question answering and multiple choice read, and what each adds."""
    drawing = Diagram(
        720, 322,
        "Three tasks on one network. The text pass makes one pooled vector of a text, the visual "
        "side clip features and clip tokens, the cross-modal pass one pooled vector of text and "
        "clip tokens together. Dot product of pooled text and clip features: the matching score. "
        "Similarity head on the pooled pair: the cross-modal score. Retrieval ranks by the "
        "matching score and re-ranks by the cross-modal one; multiple choice takes the option "
        "whose sum of both is highest; neither has weights of its own. Question answering puts a "
        "new answer head on the pooled pair.",
    )  # fmt: skip
    for x, name in ((85, "what reads"), (262, "feature"), (449, "head"), (634, "task")):
        drawing.label(x, 22, name, size=11, kind="muted")
    text = drawing.box(10, 36, 150, 56, "text pass", kind="shared",
                       note="caption, question,\nor option")  # fmt: skip
    visual = drawing.box(10, 122, 150, 48, "visual side", kind="video", note="pixels")
    cross = drawing.box(10, 234, 150, 56, "cross-modal pass", kind="shared",
                        note="text + clip tokens")  # fmt: skip
    pooled = drawing.box(202, 49, 120, 30, "pooled text", kind="text")
    clips = drawing.box(202, 131, 120, 30, "clip features", kind="video")
    pair = drawing.box(202, 247, 120, 30, "pooled pair", kind="own")
    dot = drawing.box(374, 66, 150, 46, "dot product", kind="text", note="no weights")
    similar = drawing.box(374, 176, 150, 46, "similarity head", kind="shared",
                          note="from pre-training")  # fmt: skip
    answer = drawing.box(374, 261, 150, 46, "answer head", kind="own", note="new: random weights")
    find = drawing.box(574, 61, 136, 56, "retrieval", kind="ink", strength=0.06,
                       note="rank,\nthen re-rank the best")  # fmt: skip
    choose = drawing.box(574, 171, 136, 56, "multiple choice", kind="ink", strength=0.06,
                         note="sum of both,\nthe best option")  # fmt: skip
    tell = drawing.box(574, 256, 136, 56, "question answering", kind="ink", strength=0.06,
                       note="the likeliest of the\nlabel set")  # fmt: skip
    for start, end in ((text, pooled), (visual, clips), (cross, pair), (dot, find),
                       (similar, choose), (answer, tell)):  # fmt: skip
        drawing.arrow(start.right, end.left)
    drawing.arrow(visual.bottom, cross.top, kind="video")
    drawing.label(93, 205, "clip tokens", size=11, kind="video", anchor="start")
    slanted = (
        (pooled, dot, -7), (clips, dot, 7), (pair, similar, 0), (pair, answer, 0),
        (dot, choose, -12), (similar, find, 12),
    )  # fmt: skip
    for start, end, shift in slanted:
        drawing.arrow(start.right, (end.left[0], end.left[1] + shift))
    return drawing
