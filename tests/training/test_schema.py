"""Recipes survive JSON, take overrides by name, and refuse what they do not know."""

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snpkit.errors import UserError
from snpkit.files import write_json
from snpkit.training.recipes import RECIPES, get_recipe
from snpkit.training.schema import (
    Recipe,
    override,
    read_recipe,
    recipe_from_dict,
    recipe_to_dict,
)


@pytest.mark.parametrize("name", RECIPES)
def test_json_round_trip_is_exact(name):
    recipe = get_recipe(name)
    assert recipe_from_dict(json.loads(json.dumps(recipe_to_dict(recipe)))) == recipe


def test_recipes_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        get_recipe("laptop").data.size = 32


def test_override_replaces_only_what_it_names():
    recipe = get_recipe("laptop")
    changed = override(recipe, {"optimisation.total_steps": 10, "model.hidden_size": 64, "seed": 3})
    assert changed.optimisation.total_steps == 10
    assert changed.model["hidden_size"] == 64 and changed.seed == 3
    back = override(changed, {
        "optimisation.total_steps": recipe.optimisation.total_steps,
        "model.hidden_size": recipe.model["hidden_size"], "seed": 0,
    })
    assert back == recipe


def test_a_run_has_one_length():
    epochs = override(get_recipe("laptop"), {"optimisation.epochs": 2})
    assert epochs.optimisation.epochs == 2.0 and epochs.optimisation.total_steps is None
    steps = override(epochs, {"optimisation.total_steps": 5})
    assert steps.optimisation.epochs is None
    with pytest.raises(UserError, match="one of them"):
        override(epochs, {"optimisation.total_steps": 5, "optimisation.epochs": 1})


@pytest.mark.parametrize(("changes", "sentence"), [
    ({"optimisation.totl_steps": 1}, "did you mean 'optimisation.total_steps'"),
    ({"data.size.width": 1}, "no field 'data.size.width'"),
    ({"model": 3}, "model must be of type dict"),
    ({"data.batch_size": "64"}, "data.batch_size must be of type int, not '64'"),
    ({"data.batch_size": True}, "data.batch_size must be of type int"),
    ({"data.cache": 1}, "data.cache must be of type bool"),
    ({"data.batch_size": 1}, "matching compares pairs"),
    ({"data.fit": "short"}, "data.fit must be one of 'crop', 'long'"),
    ({"data.fit": "long", "data.cache": False, "data.min_scale": 0.0}, "min_scale must lie above"),
    ({"data.fit": "long", "data.cache": False, "data.min_scale": 1.5}, "min_scale must lie above"),
    ({"data.min_scale": 0.5}, 'needs data.fit "long"'),
    ({"data.fit": "long"}, "switch data.cache off"),
    ({"optimisation.schedule": "exponential"}, "must be one of 'constant', 'linear'"),
    ({"optimisation.betas": [0.9]}, "needs 2 values"),
    ({"optimisation.betas": [0.9, 1.0]}, "betas must lie in"),
    ({"optimisation.milestones": [5, 2]}, "ascending order"),
    ({"optimisation.learning_rate": float("nan")}, "must be a finite number, not nan"),
    ({"optimisation.learning_rate": 10**400}, r"must be a finite number, not 1000+\.\.\.0+\.$"),
    ({"optimisation.learning_rate": -1}, "learning_rate and gradient_clip"),
    ({"name": "../elsewhere"}, "name must be of letters"),
    ({"optimisation.time_limit": 0}, "positive number of seconds"),
    ({"masking.ratio": 1.5}, "masking.ratio"),
    ({"evaluation.every": 0}, "evaluation.log_every"),
    ({"significance.top_k": 0}, "top_k"),
])
def test_wrong_changes_are_named(changes, sentence):
    with pytest.raises(UserError, match=sentence):
        override(get_recipe("laptop"), changes)


def test_missing_and_unknown_fields_of_a_file_are_named():
    values = recipe_to_dict(get_recipe("laptop"))
    with pytest.raises(UserError, match=r"'data\.colour' is no field"):
        recipe_from_dict({**values, "data": {"colour": 1}})
    with pytest.raises(UserError, match="name is missing"):
        recipe_from_dict({key: value for key, value in values.items() if key != "name"})


def test_a_recipe_file_is_named_and_a_long_value_shortened(tmp_path):
    path = tmp_path / "recipe.json"
    values = recipe_to_dict(get_recipe("laptop"))
    write_json(path, values)
    assert read_recipe(path) == get_recipe("laptop")
    wrong = ({"seed": "x" * 5000}, {"choices": {"a": list(range(9000))}}, {"y" * 5000: 1},
             {"data": {"fit": ["crop"] * 900}}, {"name": "z" * 5000})  # fmt: skip
    for change in wrong:
        write_json(path, values | change)
        with pytest.raises(UserError) as caught:
            read_recipe(path)
        said = str(caught.value)
        assert said.startswith(f"{path} is no recipe") and len(said) < 300 and "\n" not in said


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5)
    | st.floats(allow_subnormal=False),  # a run flushes denormals to zero; so do these tests
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@given(field=st.sampled_from(sorted(recipe_to_dict(get_recipe("laptop")))), value=json_values)
def test_any_json_gives_a_recipe_or_one_sentence(field, value):
    values = {**recipe_to_dict(get_recipe("laptop")), field: value}
    try:
        assert isinstance(recipe_from_dict(values), Recipe)
    except UserError as error:
        assert str(error).startswith("Recipe: ") and "\n" not in str(error)
