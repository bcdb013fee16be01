"""The drawings: each noun is a short list of parts on a square of 100 x 100 units, y pointing down.

A part is (kind, role, numbers, ...). Kinds: "ellipse" and "box" take x0, y0, x1, y1 (a box also
its corner radius); "poly" takes points; "line" takes points and a width; "arc" takes a bounding
box, two angles in degrees (0 = right, clockwise) and a width; "pie" a bounding box and two angles.
The role "body" takes the colour and texture of the composition, "shade" and "trim" follow from
them, "clear" cuts a hole, every other role is a fixed paint of `snpkit.data.synthetic.sprites`.
"""

import math

Part = tuple


def _star(points: int, outer: float, inner: float) -> list[tuple[float, float]]:
    corners = []
    for step in range(2 * points):
        radius = inner if step % 2 else outer
        angle = math.pi * step / points - math.pi / 2
        corners.append((50 + radius * math.cos(angle), 53 + radius * math.sin(angle)))
    return corners


def _heart() -> list[tuple[float, float]]:
    angles = [2 * math.pi * step / 60 for step in range(60)]
    return [
        (
            50 + 2.9 * 16 * math.sin(a) ** 3,
            45 - 2.9 * (13 * math.cos(a) - 5 * math.cos(2 * a) - 2 * math.cos(3 * a)
                        - math.cos(4 * a)),
        )
        for a in angles
    ]  # fmt: skip


def _lens() -> list[tuple[float, float]]:
    """A pointed leaf along the diagonal: two arcs between (10, 82) and (94, 6)."""
    steps = [step / 20 for step in range(21)]
    along = [(10 + 84 * s, 82 - 76 * s, 26 * math.sin(math.pi * s**0.8)) for s in steps]
    upper = [(x - bulge * 0.67, y - bulge * 0.74) for x, y, bulge in along]
    lower = [(x + bulge * 0.67, y + bulge * 0.74) for x, y, bulge in along]
    return upper + lower[::-1]


def _petals() -> list[Part]:
    parts: list[Part] = []
    for step in range(6):
        angle = math.pi * step / 3
        x, y = 50 + 21 * math.cos(angle), 33 + 21 * math.sin(angle)
        parts.append(("ellipse", "body", (x - 14, y - 14, x + 14, y + 14)))
    return parts


def _mirrored(*half: tuple[float, float]) -> list[tuple[float, float]]:
    """An outline from its right half, given from top to bottom by distances from the middle."""
    return [(50 - x, y) for x, y in half[::-1]] + [(50 + x, y) for x, y in half]


_ROCKET = _mirrored((0, 1), (12, 14), (18, 32), (18, 56), (13, 78))
_BELL = _mirrored((0, 8), (14, 10), (23, 18), (27, 32), (29, 52), (34, 66), (46, 80))

SHAPES: dict[str, list[Part]] = {
    "ball": [
        ("ellipse", "body", (4, 4, 96, 96)),
        ("pie", "trim", (4, 4, 96, 96), 20, 75),
        ("pie", "trim", (4, 4, 96, 96), 140, 195),
        ("pie", "trim", (4, 4, 96, 96), 260, 315),
        ("ellipse", "body", (40, 40, 60, 60)),
    ],
    "boat": [
        ("line", "wood", [(50, 66), (50, 4)], 5),
        ("poly", "body", [(54, 8), (92, 56), (54, 56)]),
        ("poly", "cream", [(46, 18), (46, 56), (16, 56)]),
        ("poly", "body", [(2, 63), (98, 63), (80, 92), (20, 92)]),
    ],
    "house": [
        ("box", "brown", (66, 8, 78, 40), 0),
        ("box", "body", (14, 42, 86, 95), 0),
        ("poly", "brown", [(50, 4), (98, 46), (2, 46)]),
        ("box", "dark", (42, 64, 59, 95), 0),
        ("box", "glass", (21, 55, 35, 70), 0),
        ("box", "glass", (66, 55, 80, 70), 0),
    ],
    "tree": [
        ("box", "wood", (42, 76, 58, 98), 0),
        ("poly", "body", [(50, 40), (92, 80), (8, 80)]),
        ("poly", "body", [(50, 20), (84, 57), (16, 57)]),
        ("poly", "body", [(50, 2), (75, 34), (25, 34)]),
        ("line", "shade", [(26, 35), (74, 35)], 3),
        ("line", "shade", [(17, 58), (83, 58)], 3),
    ],
    "fish": [
        ("poly", "body", [(62, 50), (98, 20), (90, 50), (98, 80)]),
        ("poly", "shade", [(30, 28), (46, 12), (60, 30)]),
        ("ellipse", "body", (3, 24, 76, 76)),
        ("poly", "shade", [(38, 50), (58, 44), (56, 64)]),
        ("ellipse", "cream", (13, 36, 28, 51)),
        ("ellipse", "dark", (16, 40, 24, 48)),
    ],
    "rocket": [
        ("poly", "flame", [(38, 76), (62, 76), (50, 99)]),
        ("poly", "shade", [(34, 46), (12, 86), (36, 76)]),
        ("poly", "shade", [(66, 46), (88, 86), (64, 76)]),
        ("poly", "body", _ROCKET),
        ("ellipse", "cream", (39, 28, 61, 50)),
        ("ellipse", "glass", (42, 31, 58, 47)),
    ],
    "balloon": [
        ("line", "dark", [(50, 76), (45, 83), (54, 90), (49, 98)], 3),
        ("poly", "body", [(50, 66), (42, 78), (58, 78)]),
        ("ellipse", "body", (19, 2, 81, 71)),
        ("ellipse", "shine", (31, 12, 43, 32)),
    ],
    "kite": [
        ("line", "dark", [(46, 70), (36, 78), (48, 86), (34, 97)], 3),
        ("poly", "cream", [(32, 74), (42, 80), (32, 84), (42, 76)]),
        ("poly", "cream", [(36, 84), (48, 92), (36, 94), (48, 84)]),
        ("poly", "body", [(60, 2), (94, 30), (46, 72), (22, 22)]),
        ("line", "dark", [(60, 2), (46, 72)], 3),
        ("line", "dark", [(94, 30), (22, 22)], 3),
    ],
    "umbrella": [
        ("line", "wood", [(50, 4), (50, 86)], 5),
        ("arc", "wood", (50, 76, 70, 97), 0, 180, 5),
        ("pie", "body", (3, 10, 97, 104), 180, 360),
        ("ellipse", "clear", (4, 51, 34, 65)),
        ("ellipse", "clear", (35, 51, 65, 65)),
        ("ellipse", "clear", (66, 51, 96, 65)),
        ("line", "shade", [(50, 12), (34, 54)], 3),
        ("line", "shade", [(50, 12), (66, 54)], 3),
        ("line", "wood", [(50, 50), (50, 86)], 5),
    ],
    "car": [
        ("poly", "body", [(20, 50), (34, 24), (68, 24), (84, 50)]),
        ("box", "body", (3, 46, 97, 76), 8),
        ("poly", "glass", [(30, 47), (39, 30), (49, 30), (49, 47)]),
        ("poly", "glass", [(54, 47), (54, 30), (64, 30), (73, 47)]),
        ("ellipse", "dark", (13, 60, 39, 86)),
        ("ellipse", "dark", (61, 60, 87, 86)),
        ("ellipse", "metal", (21, 68, 31, 78)),
        ("ellipse", "metal", (69, 68, 79, 78)),
    ],
    "star": [("poly", "body", _star(5, 50, 21))],
    "cup": [
        ("arc", "body", (54, 32, 96, 74), 0, 360, 10),
        ("box", "body", (10, 22, 72, 88), 12),
        ("ellipse", "cream", (10, 12, 72, 34)),
        ("ellipse", "brown", (16, 16, 66, 31)),
    ],
    "hat": [
        ("ellipse", "body", (2, 60, 98, 86)),
        ("box", "body", (25, 12, 75, 74), 3),
        ("box", "dark", (25, 52, 75, 64), 0),
    ],
    "key": [
        ("arc", "body", (2, 28, 46, 72), 0, 360, 13),
        ("box", "body", (42, 44, 98, 56), 0),
        ("box", "body", (72, 54, 81, 72), 0),
        ("box", "body", (88, 54, 97, 76), 0),
    ],
    "bird": [
        ("line", "orange", [(46, 76), (44, 96)], 4),
        ("line", "orange", [(58, 76), (58, 96)], 4),
        ("poly", "body", [(30, 50), (0, 36), (6, 66)]),
        ("ellipse", "body", (18, 34, 78, 80)),
        ("ellipse", "body", (54, 10, 90, 46)),
        ("poly", "orange", [(87, 22), (100, 30), (87, 36)]),
        ("poly", "shade", [(28, 50), (60, 46), (54, 66), (36, 70)]),
        ("ellipse", "cream", (70, 19, 81, 30)),
        ("ellipse", "dark", (73, 22, 79, 28)),
    ],
    "butterfly": [
        ("line", "dark", [(50, 22), (38, 4)], 3),
        ("line", "dark", [(50, 22), (62, 4)], 3),
        ("ellipse", "body", (2, 10, 49, 56)),
        ("ellipse", "body", (51, 10, 98, 56)),
        ("ellipse", "body", (12, 46, 49, 92)),
        ("ellipse", "body", (51, 46, 88, 92)),
        ("ellipse", "trim", (16, 24, 32, 40)),
        ("ellipse", "trim", (68, 24, 84, 40)),
        ("box", "dark", (45, 18, 55, 86), 5),
    ],
    "flower": [
        ("line", "leaf", [(50, 40), (50, 98)], 6),
        ("poly", "leaf", [(50, 90), (62, 70), (84, 66), (70, 86)]),
        *_petals(),
        ("ellipse", "brown", (37, 20, 63, 46)),
    ],
    "cat": [
        ("arc", "body", (58, 52, 96, 96), 270, 130, 9),
        ("ellipse", "body", (20, 44, 74, 99)),
        ("poly", "body", [(20, 30), (20, 1), (44, 14)]),
        ("poly", "body", [(74, 30), (74, 1), (50, 14)]),
        ("ellipse", "body", (17, 8, 77, 56)),
        ("ellipse", "cream", (28, 24, 42, 40)),
        ("ellipse", "cream", (52, 24, 66, 40)),
        ("ellipse", "dark", (33, 26, 40, 39)),
        ("ellipse", "dark", (54, 26, 61, 39)),
        ("poly", "pinkish", [(42, 42), (52, 42), (47, 48)]),
    ],
    "lamp": [
        ("box", "metal", (45, 46, 55, 90), 0),
        ("box", "metal", (24, 86, 76, 97), 5),
        ("poly", "body", [(33, 4), (67, 4), (90, 54), (10, 54)]),
        ("line", "gold", [(12, 56), (88, 56)], 6),
    ],
    "train": [
        ("box", "dark", (12, 14, 26, 42), 0),
        ("box", "dark", (8, 10, 30, 19), 2),
        ("box", "body", (5, 38, 66, 72), 6),
        ("box", "body", (56, 20, 95, 72), 0),
        ("box", "dark", (52, 12, 99, 22), 0),
        ("box", "glass", (66, 30, 86, 48), 0),
        ("ellipse", "dark", (6, 66, 30, 90)),
        ("ellipse", "dark", (34, 66, 58, 90)),
        ("ellipse", "dark", (66, 60, 96, 90)),
        ("line", "metal", [(18, 78), (80, 78)], 4),
    ],
    "apple": [
        ("ellipse", "body", (5, 24, 61, 92)),
        ("ellipse", "body", (39, 24, 95, 92)),
        ("ellipse", "body", (22, 50, 78, 97)),
        ("line", "wood", [(50, 34), (54, 8)], 6),
        ("poly", "leaf", [(55, 18), (66, 4), (88, 6), (76, 20)]),
    ],
    "guitar": [
        ("box", "wood", (45, 8, 55, 60), 0),
        ("box", "dark", (40, 1, 60, 14), 3),
        ("ellipse", "body", (26, 40, 74, 74)),
        ("ellipse", "body", (18, 56, 82, 99)),
        ("box", "wood", (45, 30, 55, 56), 0),
        ("ellipse", "dark", (40, 54, 60, 73)),
        ("box", "dark", (38, 82, 62, 88), 0),
    ],
    "leaf": [
        ("line", "wood", [(2, 96), (20, 74)], 6),
        ("poly", "body", _lens()),
        ("line", "shade", [(10, 86), (84, 14)], 4),
        ("line", "shade", [(38, 58), (36, 34)], 3),
        ("line", "shade", [(38, 58), (64, 60)], 3),
        ("line", "shade", [(58, 39), (56, 18)], 3),
        ("line", "shade", [(58, 39), (80, 40)], 3),
    ],
    "mushroom": [
        ("box", "cream", (33, 48, 67, 97), 12),
        ("pie", "body", (2, 6, 98, 114), 180, 360),
        ("ellipse", "trim", (20, 30, 38, 48)),
        ("ellipse", "trim", (44, 12, 62, 30)),
        ("ellipse", "trim", (64, 34, 80, 50)),
    ],
    "drum": [
        ("line", "wood", [(40, 26), (8, 2)], 5),
        ("line", "wood", [(60, 26), (92, 2)], 5),
        ("ellipse", "body", (8, 68, 92, 96)),
        ("box", "body", (8, 34, 92, 82), 0),
        ("line", "gold", [(10, 46), (24, 84), (38, 48), (50, 88), (62, 48), (76, 84), (90, 46)], 4),
        ("ellipse", "cream", (8, 20, 92, 48)),
    ],
    "bell": [
        ("arc", "gold", (40, 0, 60, 18), 0, 360, 5),
        ("ellipse", "dark", (40, 76, 60, 97)),
        ("poly", "body", _BELL),
        ("box", "shade", (3, 76, 97, 85), 4),
    ],
    "chair": [
        ("box", "wood", (22, 56, 32, 98), 0),
        ("box", "wood", (72, 56, 82, 98), 0),
        ("box", "body", (18, 2, 32, 62), 4),
        ("box", "body", (18, 48, 86, 64), 4),
    ],
    "heart": [("poly", "body", _heart())],
}
