"""Plan files: what they mean, and one sentence for everything that may be wrong in one."""

import json

import pytest
from ablation_toys import toy_values, write_plan

from snpkit.ablation.plan import load_plan, shipped_plans
from snpkit.errors import UserError
from snpkit.model.config import SNPConfig


@pytest.mark.parametrize("name", shipped_plans())
def test_shipped_plans_can_be_carried_out(name):
    plan = load_plan(name)
    assert plan.name == name
    assert plan.seeds >= 5
    for row in plan.rows:
        recipe = plan.recipe_of(row, 3)
        SNPConfig(**recipe.model)
        assert recipe.seed == 3
        assert recipe.optimisation.total_steps % plan.evaluate_every == 0
        questions = plan.questions_of(row, 3)
        assert (questions is None) == (recipe.model["architecture"] == "twin_tower")
        seen = {(r.data.clips, r.data.frames, r.data.size) for r in (recipe, questions) if r}
        assert len(seen) == 1  # the weights are made for these frames
    lengths = {plan.recipe_of(row, 0).optimisation.total_steps for row in plan.rows}
    assert len(lengths) == 1  # "same steps" is the same for all


def test_the_paper_plan_differs_only_in_what_a_row_is_named_for():
    plan = load_plan("paper_laptop")
    settings = {row: plan.identity_of("compositions", row, 0)["recipe"] for row in plan.rows}
    pairs = {("snp", "mssm"): "masking", ("lvwm", "s3"): "masking", ("s3", "moco"): "model",
             ("snp", "lvwm"): "model", ("mssm", "s3"): "model"}  # fmt: skip
    for (one, other), section in pairs.items():
        different = [name for name in settings[one] if settings[one][name] != settings[other][name]]
        assert different == [section]
    harder = plan.corpora["pairs_two_objects"].parsed()
    assert (harder.split_kind, harder.second_object) == ("pairs", 1.0)


def test_rows_change_the_base_and_the_seed_is_that_of_the_run(tmp_path):
    plan = load_plan(str(write_plan(tmp_path)))
    base, twin = plan.recipe_of("snp", 0), plan.recipe_of("twin", 1)
    assert (base.model["architecture"], twin.model["architecture"]) == ("snp", "twin_tower")
    assert (base.evaluation.every, base.evaluation.checkpoint_every) == (2, 2)
    assert (base.seed, twin.seed) == (0, 1)
    assert plan.identity_of("easy", "snp", 0) != plan.identity_of("easy", "snp", 1)
    assert json.loads(json.dumps(plan.identity_of("easy", "twin", 0)))["questions"] is None


def put(path, value):
    def change(values):
        *parts, last = path.split("/")
        for part in parts:
            values = values[part]
        values[last] = value

    return change


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (put("seed", 5), "'seed' is no field (did you mean 'seeds'?)"),
        (put("seeds", "5"), "seeds is '5'; use a whole number"),
        (put("seeds", True), "seeds is True; use a whole number"),
        (put("seeds", 0), "seeds is 0; it should be greater than or equal to 1"),
        (put("rows", {}), "rows is empty"),
        (put("rows/a b", {"title": "x"}), "'a b' of rows names a folder"),
        (put("rows/..", {"title": "x"}), "'..' of rows names a folder"),
        (put("rows/snp", {"changes": {}}), "rows.snp.title is missing"),
        (put("rows/snp", 3), "rows.snp is 3; use named fields"),
        (put("rows/snp/changes", {"model.nothing": 1, "maskin.kind": "mlm"}), "row 'snp': A recipe "
         "has no field 'maskin.kind'"),
        (put("rows/snp/changes", {"masking.kind": "mml"}),
         "masking.kind is 'mml'; it should be 'mssm' or 'mlm'"),
        (put("recipe", "lap"), "There is no recipe 'lap'"),
        (put("tables/II/rows", ["snp", "tin"]), "the table II names 'tin', which is no row"),
        (put("tables/II/rows", ["twin"]), "the baseline of II is none of its rows"),
        (put("corpora/easy/settings", {"trai": 1}), "the corpus easy has no setting 'trai'"),
        (put("corpora/easy/settings", {"train": "many"}), "the corpus easy: "),
        (put("corpora/easy/settings", {"size": 33}), "size must be an even number"),
        (put("corpora/easy/settings", {"test": 0}), "the corpus easy needs train and test"),
        (put("questions", {"optimisation.total": 1}), "A recipe has no field"),
    ],
)
def test_each_mistake_gets_one_sentence_that_names_the_file(tmp_path, change, sentence):
    values = toy_values()
    change(values)
    path = write_plan(tmp_path, values)
    with pytest.raises(UserError) as caught:
        load_plan(str(path))
    assert sentence in str(caught.value)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_no_such_plan(tmp_path):
    with pytest.raises(UserError, match="no plan 'paper'; choose one of paper_laptop"):
        load_plan("paper")
    with pytest.raises(UserError, match="Cannot read"):
        load_plan(str(tmp_path / "none.json"))
    (tmp_path / "list.json").write_text("[1]")
    with pytest.raises(UserError, match=r"the plan is \[1\]; use named fields"):
        load_plan(str(tmp_path / "list.json"))
