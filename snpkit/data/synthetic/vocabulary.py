"""The words of the caption grammar, commonest first; "word/TAG" carries its part of speech."""

Tagged = tuple[str, str]


def tag(word: str) -> Tagged:
    """Split "word/TAG"."""
    text, _, label = word.partition("/")
    return text, label


def _tagged(words: str, label: str) -> tuple[str, ...]:
    return tuple(f"{word}/{label}" for word in words.split())


_NOUNS = (
    "ball, boat ship, house cottage, tree pine, fish, rocket spaceship, balloon, kite, "
    "umbrella parasol, car automobile, star, cup mug, hat, key, bird, butterfly moth, "
    "flower daisy, cat kitten, lamp, train locomotive, apple, guitar, leaf, mushroom toadstool, "
    "drum, bell, chair seat, heart"
)
NOUN_WORDS: dict[str, tuple[str, ...]] = {
    words.split()[0]: _tagged(words, "NOUN") for words in _NOUNS.split(", ")
}

SIZE_WORDS = {
    "small": _tagged("small little tiny", "ADJ"),
    "large": _tagged("big large huge", "ADJ"),
}
TEXTURE_WORDS = {
    "plain": _tagged("plain", "ADJ"),
    "striped": _tagged("striped stripy", "ADJ"),
    "spotted": _tagged("spotted dotted", "ADJ"),
    "checked": _tagged("checked checkered", "ADJ"),
}

# Base form, third person, -ing form; a complement keeps its own tags.
VERBS: dict[str, tuple[tuple[str, str, str], ...]] = {
    "slides": (("slide", "slides", "sliding"), ("glide", "glides", "gliding"),
               ("drift", "drifts", "drifting")),
    "falls": (("fall", "falls", "falling"), ("drop", "drops", "dropping"),
              ("sink", "sinks", "sinking")),
    "rises": (("rise", "rises", "rising"), ("climb", "climbs", "climbing"),
              ("ascend", "ascends", "ascending")),
    "bounces": (("bounce", "bounces", "bouncing"), ("jump", "jumps", "jumping"),
                ("hop", "hops", "hopping")),
    "spins": (("spin", "spins", "spinning"), ("turn", "turns", "turning"),
              ("rotate", "rotates", "rotating")),
    "grows": (("grow", "grows", "growing"), ("swell", "swells", "swelling"),
              ("get bigger/ADJ", "gets bigger/ADJ", "getting bigger/ADJ")),
    "shrinks": (("shrink", "shrinks", "shrinking"),
                ("get smaller/ADJ", "gets smaller/ADJ", "getting smaller/ADJ"),
                ("dwindle", "dwindles", "dwindling")),
    "circles": (("circle", "circles", "circling"), ("loop", "loops", "looping"),
                ("move in/ADP circles/NOUN", "moves in/ADP circles/NOUN",
                 "moving in/ADP circles/NOUN")),
    "zigzags": (("zigzag", "zigzags", "zigzagging"), ("weave", "weaves", "weaving"),
                ("swerve", "swerves", "swerving")),
    "swings": (("swing", "swings", "swinging"), ("sway", "sways", "swaying")),
    "shakes": (("shake", "shakes", "shaking"), ("wobble", "wobbles", "wobbling"),
               ("tremble", "trembles", "trembling")),
    "blinks": (("blink", "blinks", "blinking"), ("flash", "flashes", "flashing"),
               ("flicker", "flickers", "flickering")),
}  # fmt: skip

DIRECTION_WORDS = {
    "left": "to/ADP the/DET left/NOUN",
    "right": "to/ADP the/DET right/NOUN",
}


def _places(*places: str) -> tuple[str, ...]:
    """ "over the beach" with its tags: preposition, perhaps article, noun."""
    tagged = []
    for place in places:
        preposition, *article, noun = place.split()
        tagged.append(" ".join([f"{preposition}/ADP", *(f"{a}/DET" for a in article),
                                f"{noun}/NOUN"]))  # fmt: skip
    return tuple(tagged)


PLACES: dict[str, tuple[str, ...]] = {
    "beach": _places("at the beach", "over the beach", "on the beach", "by the shore",
                     "on the sand"),
    "forest": _places("in the forest", "in the woods", "inside the forest", "through the woods"),
    "city": _places("in the city", "over the city", "in the town", "across the town"),
    "desert": _places("in the desert", "over the desert", "over the dunes", "among the dunes"),
    "sea": _places("over the sea", "on the sea", "at sea", "over the ocean", "on the waves"),
    "night": _places("at night", "in the night", "in the dark", "under the moon", "by moonlight"),
    "mountains": _places("in the mountains", "over the mountains", "near the mountains",
                         "before the peaks"),
    "meadow": _places("in the meadow", "over the meadow", "in the field", "on the grass",
                      "over the field"),
}  # fmt: skip

RELATION_WORDS: dict[str, tuple[str, ...]] = {
    "beside": ("beside/ADP", "near/ADP", "next/ADV to/ADP"),
    "above": ("above/ADP", "over/ADP"),
    "below": ("below/ADP", "under/ADP", "beneath/ADP"),
    "behind": ("behind/ADP",),
    "in front of": ("in/ADP front/NOUN of/ADP",),
}
