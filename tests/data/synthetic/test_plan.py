import pytest

from snpkit.data.synthetic import ClipPlan, CorpusSettings, plan_corpus
from snpkit.errors import UserError


def plans_of(kind: str) -> dict[str, list[ClipPlan]]:
    settings = CorpusSettings(train=1500, validation=100, test=200, seed=1, split_kind=kind)
    made = plan_corpus(settings)
    return {
        split: [plan for plan in made if plan.split == split]
        for split in ("train", "validation", "test")
    }


@pytest.fixture(scope="module", params=["compositions", "pairs"])
def plans(request: pytest.FixtureRequest) -> dict[str, list[ClipPlan]]:
    return plans_of(request.param)


def test_no_held_out_caption_or_composition_occurs_in_another_split(plans: dict) -> None:
    captions = {s: {plan.caption.text for plan in own} for s, own in plans.items()}
    shown = {s: {plan.composition.quadruple for plan in own} for s, own in plans.items()}
    for split, count in (("validation", 100), ("test", 200)):
        assert len(plans[split]) == len(captions[split]) == len(shown[split]) == count
        for found in (captions, shown):
            assert not found[split] & found["train"]
    for found in (captions, shown):
        assert not found["validation"] & found["test"]


def test_training_shows_no_held_out_pair_even_in_the_background() -> None:
    plans = plans_of("pairs")
    pairs = {s: {plan.composition.quadruple[:2] for plan in own} for s, own in plans.items()}
    assert not pairs["validation"] & pairs["test"]
    for plan in plans["train"]:
        second = plan.composition.second
        shown = {plan.composition.quadruple[:2], tuple(second.values()) if second else None}
        assert not shown & (pairs["validation"] | pairs["test"])


def test_plans_depend_on_the_seed_alone() -> None:
    small = CorpusSettings(train=30, validation=5, test=5, seed=4)
    assert plan_corpus(small) == plan_corpus(small)
    other = plan_corpus(CorpusSettings(train=30, validation=5, test=5, seed=5))
    assert [p.caption.text for p in plan_corpus(small)] != [p.caption.text for p in other]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("train", -1),
        ("seed", -1),
        ("size", 95),
        ("size", 16),
        ("rate", 0),
        ("rate", 7.5),
        ("seconds", 0.0),
        ("seconds", float("nan")),
        ("split_kind", "random"),
        ("second_object", 1.5),
        ("omission", -0.1),
        ("afterimage", float("nan")),
    ],
)
def test_wrong_settings_are_named(name: str, value: object) -> None:
    with pytest.raises(UserError, match=name) as caught:
        CorpusSettings(**{name: value}).check()
    assert "\n" not in str(caught.value)


def test_an_empty_corpus_is_refused_and_an_empty_split_is_not() -> None:
    with pytest.raises(UserError, match="at least 1"):
        plan_corpus(CorpusSettings(train=0, validation=0, test=0))
    assert len(plan_corpus(CorpusSettings(train=0, validation=0, test=3))) == 3
