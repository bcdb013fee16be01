"""Recipes survive JSON, take overrides by name, hold the paper's numbers, and refuse mistakes."""

import json
import os

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from snpkit.data.samples import samples_folder
from snpkit.errors import UserError
from snpkit.files import write_json
from snpkit.model.config import SNPConfig
from snpkit.model.vision.patches import PatchEmbedding
from snpkit.training import recipe as recipes
from snpkit.training.recipe import (
    RECIPES,
    Recipe,
    get_recipe,
    override,
    read_recipe,
    recipe_from_dict,
    recipe_to_dict,
)


def laptop_values():
    return recipe_to_dict(get_recipe("laptop"))


@pytest.mark.parametrize("name", RECIPES)
def test_json_round_trip_is_exact(name):
    recipe = get_recipe(name)
    assert recipe_from_dict(json.loads(json.dumps(recipe_to_dict(recipe)))) == recipe


numbers = st.floats(0, 1e6, allow_subnormal=False) | st.integers(0, 10**6)
CHANGES = {
    "data.clips": st.integers(1, 10_000), "data.size": st.integers(1, 1000).map(lambda n: 16 * n),
    "data.random_crop": st.none() | st.tuples(st.floats(0.1, 0.5), st.floats(0.5, 1)).map(list),
    "data.middle": st.sampled_from(["upper", "lower"]), "data.flip": st.booleans(),
    "optimisation.total_steps": st.integers(1, 10**12), "optimisation.epochs": st.floats(0.1, 9),
    "optimisation.learning_rate": st.floats(1e-9, 1), "optimisation.gamma": numbers,
    "optimisation.betas": st.lists(st.floats(0.01, 0.999), min_size=2, max_size=2),
    "optimisation.milestones": st.lists(numbers, max_size=4).map(sorted),
    "model.negatives": st.just("all") | st.integers(1, 9), "model.logit_scale": st.booleans(),
    "model.tasks": st.lists(st.sampled_from(["lvwm", "text_mlm"]), min_size=1),
    "model.image_std": st.lists(st.floats(0.1, 9), min_size=3, max_size=3),
    "seed": st.integers(0, 2**63 - 1), "name": st.from_regex(r"\A[a-z][a-z .+-]{,9}\Z"),
    "choices": st.lists(st.text(), max_size=3), "evaluation.clips": st.none() | st.integers(1, 9),
}  # fmt: skip


@given(changes=st.fixed_dictionaries({}, optional=CHANGES))
def test_any_recipe_survives_json(changes):
    if {"optimisation.total_steps", "optimisation.epochs"} <= changes.keys():
        del changes["optimisation.epochs"]
    recipe = override(get_recipe("laptop"), changes)
    values = json.loads(json.dumps(recipe_to_dict(recipe)))
    assert recipe_from_dict(values) == recipe
    for name, value in changes.items():
        section, _, last = name.rpartition(".")
        assert (values[section] if section else values)[last] == value


def test_recipes_are_frozen():
    with pytest.raises(ValidationError, match="frozen"):
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


def test_a_section_that_is_gone_has_no_fields():
    with pytest.raises(UserError, match=r"no field 'data\.size'"):
        override(get_recipe("laptop"), {"data": None, "data.size": 32})


def test_a_run_has_one_length():
    epochs = override(get_recipe("laptop"), {"optimisation.epochs": 2})
    assert epochs.optimisation.epochs == 2.0 and epochs.optimisation.total_steps is None
    steps = override(epochs, {"optimisation.total_steps": 5})
    assert steps.optimisation.epochs is None
    with pytest.raises(UserError, match="one of them"):
        override(epochs, {"optimisation.total_steps": 5, "optimisation.epochs": 1})


NAN, HUGE = float("nan"), 10**30
# Fields of the laptop recipe, wrong values, and what the one sentence says.
MISTAKES = [
    ("optimisation.totl_steps", 1, "did you mean 'optimisation.total_steps'"),
    ("learning_rate", 1e-3, "did you mean 'optimisation.learning_rate'"),
    ("evaluation.clip", 1, "did you mean 'evaluation.clips'"),
    ("data.size.width", 1, "no field 'data.size.width'"),
    ("model.hiden_size", 64, r"no field 'hiden_size' \(did you mean 'hidden_size'\?\)"),
    ("model.clips", 3, "the model has no field 'clips'"),  # data.clips
    ("model.vocab_size", 3, "the model has no field 'vocab_size'"),  # the tokenizer's
    # Types.
    ("model", 3, "model is 3; use named fields"),
    ("data", None, "data is None; use named fields"),
    ("data.batch_size", "64", "data.batch_size is '64'; use a whole number"),
    ("data.batch_size", True, "data.batch_size is True; use a whole number"),
    ("data.batch_size", 64.0, "data.batch_size is 64.0; use a whole number"),
    ("data.cache", 1, "data.cache is '1'; it should be True, False or 'disk'"),
    ("data.tokenizer", 7, "data.tokenizer is 7; use text"),
    ("data.tokenizer", "", "data.tokenizer is ''"),
    ("data.fit", "short", "data.fit is 'short'; it should be 'crop' or 'long'"),
    ("optimisation.schedule", "linea", "'linea'; it should be 'constant', 'linear', 'cosine' or"),
    ("optimisation.learning_rate", True, "is True; use a number"),
    ("optimisation.learning_rate", "1e-4", "is '1e-4'; use a number"),
    ("optimisation.betas", 0.9, "betas is 0.9; use a list"),
    ("optimisation.betas", [0.9], "betas.1 is missing"),
    ("optimisation.betas", [0.9, 0.9, 0.9], "at most 2 items"),
    ("choices", "why", "choices is 'why'; use a list"),
    # Ranges.
    ("seed", -1, "seed is -1; it should be greater than or equal to 0"),
    ("seed", 2**64, "seed is 18446744073709551616; it should be less than"),
    ("data.size", 7, "data.size is 7; use a multiple of model.patch_size=16"),
    ("data.size", 0, "data.size is 0; it should be greater than or equal to 1"),
    ("data.size", -64, "data.size is -64"),
    ("data.size", 16 * 10**6, "data.size is 16000000; use a whole number from 1 to 16384"),
    ("data.clips", 10**9, "data.clips is 1000000000; use a whole number from 1 to 10000"),
    ("data.frames", 0, "data.frames is 0"),
    ("data.batch_size", 1, "data.batch_size is 1; it should be greater than or equal to 2"),
    ("data.max_tokens", 2, "data.max_tokens is 2; it should be greater than or equal to 3"),
    ("data.workers", -1, "data.workers is -1"),
    ("data.workers", 1e30, r"data.workers is 1e\+30; use a whole number"),
    ("data.workers", HUGE, "data.workers is 10+; it should be less than or equal to 1000"),
    ("data.guard_seconds", -1, "guard_seconds is -1"),
    ("data.guard_seconds", 1e30, r"guard_seconds is 1e\+30; it should be less than"),
    ("data.magnitude", 11, "magnitude is 11; it should be less than or equal to 10"),
    ("data.group", 0, "data.group is 0"),
    ("data.vocabulary_size", 0, "vocabulary_size is 0"),
    ("optimisation.betas", [0.9, 1.0], "betas.1 is 1.0; it should be less than 1"),
    ("optimisation.learning_rate", NAN, "learning_rate is nan; it should be a finite number"),
    ("optimisation.learning_rate", float("inf"), "learning_rate is inf; it should be a finite"),
    ("optimisation.learning_rate", 10**400, r"learning_rate is 1000+\.\.\.0+; use a|valid number"),
    ("optimisation.learning_rate", -1, "learning_rate is -1; it should be greater than 0"),
    ("optimisation.gradient_clip", 0, "gradient_clip is 0; it should be greater than 0"),
    ("optimisation.weight_decay", -0.1, "weight_decay is -0.1"),
    ("optimisation.encoder_rate", -1, "encoder_rate is -1"),
    ("optimisation.gamma", NAN, "gamma is nan"),
    ("optimisation.gamma", -1, "gamma is -1; it should be greater than or equal to 0"),
    ("optimisation.milestones", [NAN], "milestones.0 is nan"),
    ("optimisation.milestones", [5, 2], "ascending order"),
    ("optimisation.total_steps", 0, "total_steps is 0"),
    ("optimisation.total_steps", HUGE, "total_steps is 10+; it should be less than"),
    ("optimisation.total_steps", None, "set optimisation.total_steps or optimisation.epochs"),
    ("optimisation.epochs", 0, "epochs is 0; it should be greater than 0"),
    ("optimisation.micro_batch", 0, "micro_batch is 0; it should be greater than or equal to 1"),
    ("optimisation.time_limit", 0, "time_limit is 0; it should be greater than 0"),
    ("optimisation.nonfinite_limit", -1, "nonfinite_limit is -1"),
    ("masking.ratio", 1.5, "masking.ratio is 1.5; it should be less than 1"),
    ("significance.top_k", 0, "top_k is 0"),
    ("significance.min_share", NAN, "min_share is nan"),
    ("evaluation.every", 0, "evaluation.every is 0"),
    ("evaluation.clips", 0, "evaluation.clips is 0"),
    ("task.answers", 1, "task.answers is 1; it should be greater than or equal to 2"),
    ("task.questions", 2, 'task.questions must be 1 for other tasks than "qa"'),
    ("name", "../elsewhere", "name must be of letters"),
    ("name", "", "name must be of letters"),
    # SNPConfig's own rules.
    ("model.hidden_size", 0, "model.hidden_size is 0; use a whole number from 1"),
    ("model.hidden_size", 130, "model.hidden_size is 130; use a multiple of num_attention_heads"),
    ("model.hidden_size", NAN, "model.hidden_size is nan; use a whole number"),
    ("model.num_attention_heads", 0, "model.num_attention_heads is 0"),
    ("model.num_hidden_layers", -1, "model.num_hidden_layers is -1"),
    ("model.num_hidden_layers", HUGE, "model.num_hidden_layers is 10+; use a whole number"),
    ("model.tasks", [], r"model.tasks is \[\]; choose some of"),
    ("model.tasks", ["lvmw"], r"model.tasks is \['lvmw'\]; choose some of"),
    ("model.hidden_act", "nope", "model.hidden_act is 'nope'; use an activation"),
    ("model.attn_implementation", "nope", r"attn_implementation is 'nope'; choose one of \['eager"),
    ("model.attn_implementation", "owner/kernel", "'owner/kernel'; choose one of"),
    ("model.image_mean", [0], r"model.image_mean is \[0\]; use three numbers"),
    ("model.image_std", [1, 1, 0], "model.image_std is .*; use three numbers"),
    ("model.hidden_dropout_prob", NAN, "hidden_dropout_prob is nan; use a number from 0 to 1"),
    ("model.initializer_range", float("inf"), "initializer_range is inf"),
    ("model.patch_size", 12, "model.patch_size is 12; the overlapping and deep stems"),
    ("model.patch_size", 1, "model.patch_size is 1; the overlapping and deep stems"),
    ("model.vision_width", 4, "model.vision_width is 4; use half of patch_size=16 or more"),
    ("model.type_vocab_size", 1, "model.type_vocab_size is 1; use a whole number from 2"),
    ("model.vision", "features", "model.vision is 'features', which takes grid features"),
    ("model.logit_scale", -1, "model.logit_scale is -1"),
    ("model.vision", "", "model.vision is ''"),
]  # fmt: skip


@pytest.mark.parametrize(("field", "value", "sentence"), MISTAKES)
def test_a_mistake_is_one_sentence_before_any_data_is_read(field, value, sentence):
    with pytest.raises(UserError, match=sentence) as caught:
        override(get_recipe("laptop"), {field: value})
    said = str(caught.value)
    assert "\n" not in said and len(said) < 300 and said.endswith((".", "?")) and ".." not in (
        said.replace("...", ""))  # fmt: skip


@pytest.mark.parametrize(("changes", "sentence"), [
    ({"fit": "long", "min_scale": 0.0}, "min_scale is 0.0; it should be greater than 0"),
    ({"fit": "long", "min_scale": 1.5}, "min_scale is 1.5; it should be less than or equal to 1"),
    ({"fit": "crop", "min_scale": 0.5}, 'needs data.fit "long"'),
    ({"fit": "long", "cache": True}, "switch data.cache off"),
    ({"cache_frames": 8}, "cache_frames needs a cache; set data.cache to true or disk, or"),
    ({"fit": "long", "randaugment": 1}, 'need data.fit "crop"'),
    ({"random_crop": [0.5, 0.2]}, "smallest <= largest"),
    ({"random_crop": [0.5, 1.2]}, "random_crop.1 is 1.2"),
    ({"crop_aspect": 0.5}, "crop_aspect is 0.5; it should be greater than or equal to 1"),
])  # fmt: skip
def test_data_fields_fit_each_other(changes, sentence):
    changes = {f"data.{name}": value for name, value in ({"cache": False} | changes).items()}
    with pytest.raises(UserError, match=sentence):
        override(get_recipe("laptop"), changes)


def test_questions_of_one_video_are_not_mirrored():
    with pytest.raises(UserError, match=r"data\.flip looks at one question"):
        override(get_recipe("laptop_qa"), {"data.flip": True})


def test_whole_numbers_do_where_the_network_takes_floats():
    changes = {"model.initializer_range": 1, "model.layer_norm_eps": 1, "model.vision_width": 8}
    config = SNPConfig(**override(get_recipe("laptop"), changes).model)
    assert config.bert_config().initializer_range == 1.0
    assert PatchEmbedding(config).stem[0].out_channels == 1  # 8 at the last of 4 halvings


def test_the_patch_encoder_decides_which_sizes_of_frames_it_takes():
    def size(pixels, **model):
        changes = {f"model.{name}": value for name, value in model.items()}
        return override(get_recipe("laptop"), {"data.size": pixels, **changes}).data.size

    assert size(7, vision="resnet50") == 7  # other encoders take any
    assert size(70, patch_stem="patch") == 70  # this stem leaves a margin out
    with pytest.raises(UserError, match="use a multiple"):
        size(70)
    with pytest.raises(UserError, match="use a multiple"):
        size(7, patch_stem="patch")


def test_missing_and_unknown_fields_of_a_file_are_named():
    values = laptop_values()
    with pytest.raises(UserError, match=r"'data\.bach_size' is no field.*'data\.batch_size'"):
        recipe_from_dict({**values, "data": {"bach_size": 1}})
    with pytest.raises(UserError, match="name is missing"):
        recipe_from_dict({key: value for key, value in values.items() if key != "name"})
    for wrong in ([1], None, "laptop"):
        with pytest.raises(UserError, match=r"the recipe is .*; use named fields"):
            recipe_from_dict(wrong)


def test_a_recipe_file_is_named_and_a_long_value_shortened(tmp_path):
    path = tmp_path / "recipe.json"
    values = laptop_values()
    write_json(path, values)
    assert read_recipe(path) == get_recipe("laptop")
    wrong = ({"seed": "x" * 5000}, {"choices": {"a": list(range(9000))}}, {"y" * 5000: 1},
             {"data": {"fit": ["crop"] * 900}}, {"name": "z" * 5000},
             {"model": {"w" * 5000: 1}}, {"model": {"hidden_act": "v" * 5000}})  # fmt: skip
    for change in wrong:
        write_json(path, values | change)
        with pytest.raises(UserError) as caught:
            read_recipe(path)
        said = str(caught.value)
        assert said.startswith(f"{path} is no recipe") and len(said) < 320 and "\n" not in said


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5)
    | st.floats(allow_subnormal=False),  # a run flushes denormals to zero; so do these tests
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@given(
    field=st.sampled_from(sorted(laptop_values()))
    | st.sampled_from([name for name in recipes._FIELDS if "." in name]),
    value=json_values,
)
def test_any_json_gives_a_recipe_or_one_sentence(field, value):
    values = laptop_values()
    section, _, last = field.rpartition(".")
    (values[section] if section else values)[last] = value
    try:
        assert isinstance(recipe_from_dict(values), Recipe)
    except UserError as error:
        assert str(error).startswith("Recipe: ") and "\n" not in str(error)


def test_recipes_of_earlier_checkpoints_are_read():
    shipped = read_recipe(samples_folder() / "checkpoints" / "laptop" / "recipe.json")
    assert (shipped.name, shipped.optimisation.total_steps, shipped.data.group) == (
        "laptop", 4800, 16)  # fmt: skip
    assert shipped.optimisation.learning_rate == 1e-3 and len(shipped.choices) == 8
    # Fields that are gone or renamed, fields that came later, whole numbers in place of floats.
    old = {
        "name": "mine", "optimisation": {
            "total_steps": 5, "epochs": None, "learning_rate": 1, "accumulation": 1,
            "gradient_cache": False, "milestones": [3], "betas": [0, 0.5],
        },
        "data": {"clips": 2, "frames": 4, "guard_seconds": 0},
        "model": {"hidden_size": 64, "num_attention_heads": 4, "level1": "moco",
                  "hard_negatives": True, "negatives": 3},
        "seed": 3, "choices": ["Small.", "Quick."],
    }  # fmt: skip
    found = recipe_from_dict(old)
    assert found.choices == ("Small.", "Quick.") and found.seed == 3
    assert found.optimisation.milestones == (3,) and found.optimisation.betas == (0, 0.5)
    assert SNPConfig(**found.model).negative_source == "moco"
    for name, value in (("accumulation", 2), ("gradient_cache", True)):
        used = {**old, "optimisation": {**old["optimisation"], name: value}}
        with pytest.raises(UserError, match=f"optimisation.{name} is no field any more"):
            recipe_from_dict(used)


# YAML.


def write_yaml(folder, text, name="mine"):
    path = folder / f"{name}.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_recipe_of_ones_own_in_yaml(tmp_path):
    path = write_yaml(tmp_path, """\
# Short, to try things.
name: mine

data:
  size: 32  # Small frames,
            # hence quick.
  batch_size: 8
  random_crop: [.25, 1]  # commented out for now

optimisation: {total_steps: 5, learning_rate: 1e-4, weight_decay: 1E-2, gamma: 1e+0}
# One more word.
masking:
  kind: "mlm"  # Any word.
""")
    recipe = read_recipe(path)
    assert (recipe.name, recipe.data.size, recipe.data.batch_size) == ("mine", 32, 8)
    assert recipe.data.random_crop == (0.25, 1.0) and recipe.masking.kind == "mlm"
    step = recipe.optimisation
    assert (step.learning_rate, step.weight_decay, step.gamma) == (1e-4, 1e-2, 1.0)
    assert recipe.choices == (
        "Short, to try things.", "data.size: Small frames, hence quick.", "One more word.",
        "masking.kind: Any word.",
    )  # fmt: skip
    own = write_yaml(tmp_path, "name: a  # Not this.\nchoices: [This.]\n"
                     "optimisation: {epochs: 1}\n")  # fmt: skip
    assert read_recipe(own).choices == ("This.",)


BOMB = "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nname: *c\n"


@pytest.mark.parametrize(("text", "sentence"), [
    ("name: a\nseed: 1\nseed: 2\n", r"line 3: 'seed' is there twice"),
    ("name: a\ndata:\n  size: 8\n  clips: 1\n  size: 9\n", r"line 5: 'size' is there twice"),
    (BOMB, "line 1: anchors, aliases and tags are not read"),
    ("name: *a\n", "line 1: anchors, aliases and tags are not read"),
    ("name: !!python/object/apply:os.getcwd []\n", "line 1: anchors, aliases and tags"),
    ("seed: !!timestamp x\n", "anchors, aliases and tags"),
    ("name: [a\n", "line 2: "),
    ("name: a: b\n", "line 1: "),
    ("name: a\n\tseed: 1\n", "line 2: "),
    ("? [a]\n: 1\n", "line 1: "),
    ("name: a\n---\nname: b\n", "line 2: "),
    ("seed: 2024-99-99\n", "no YAML that is read here"),
    (f"seed: {'9' * 5000}\n", "no YAML that is read here"),
    ("[" * 20_000, "nested too deeply"),
    ("name: \x07\n", "no YAML that is read here"),
    ("# " + "x" * 100_000, "larger than 100,000 bytes"),
    ("", "the recipe is None; use named fields"),
    ("- laptop\n", "use named fields"),
    ("name: no\noptimisation: {epochs: 1}\n", "name is False; use text"),
    ("name: 2024-01-01\noptimisation: {epochs: 1}\n", "name is datetime.date.*; use text"),
    ("name: a\noptimisation: {epochs: 1}\n1: 2\n", "'1' is no field|1.* should be strings"),
    ("name: a\noptimisation: {epoch: 1}\n", r"'optimisation\.epoch' is no field.*epochs"),
    ("name: a\noptimisation: {epochs: .nan}\n", "epochs is nan"),
    ("name: a\noptimisation: {epochs: 1}\ndata: {workers: '3'}\n", "workers is '3'; use a whole"),
    ("name: a\noptimisation: {epochs: 1}\nmodel: {hidden_size: 0}\n", "model.hidden_size is 0"),
], ids=range(25))  # fmt: skip
def test_a_wrong_yaml_file_is_one_sentence_that_names_it(tmp_path, text, sentence):
    path = write_yaml(tmp_path, text)
    with pytest.raises(UserError, match=sentence) as caught:
        read_recipe(path)
    said = str(caught.value)
    assert str(path) in said and "\n" not in said and len(said) < 320


def test_only_regular_files_of_text_are_read(tmp_path):
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "latin.yaml").write_bytes("name: é".encode("latin-1"))
    for name, sentence in (("pipe", "no regular file"), ("folder", "directory"),
                           ("latin", "not UTF-8"), ("none", "No such file")):  # fmt: skip
        with pytest.raises(UserError, match=sentence):
            read_recipe(tmp_path / f"{name}.yaml")


# The named recipes.


def test_the_recipes_of_the_design_are_there():
    assert set(RECIPES) == {
        "laptop", "gpu_subset", "coco_vg_resnet", "coco_vg_pvt", "webvid_swin",
        "laptop_retrieval", "laptop_qa", "laptop_multichoice",
        "msrvtt_7k_retrieval", "msrvtt_9k_retrieval", "didemo_retrieval", "msvd_retrieval",
        "msrvtt_qa", "msvd_qa", "msrvtt_mc",
    }  # fmt: skip


@pytest.mark.parametrize("name", RECIPES)
def test_every_value_of_a_named_recipe_has_its_reason_behind_it(name):
    recipe = get_recipe(name)
    assert recipe.name == name
    values = yaml.safe_load((recipes._FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))
    chosen = {f"{section}.{field}" for section, fields in values.items()
              if isinstance(fields, dict) for field in fields} - {"task.name"}  # fmt: skip
    reasons = {choice.partition(": ")[0] for choice in recipe.choices}
    assert chosen and chosen <= reasons, f"no comment behind {sorted(chosen - reasons)}"
    assert all(choice.endswith(".") for choice in recipe.choices)


@pytest.mark.parametrize("name", ["coco_vg_resnet", "coco_vg_pvt", "webvid_swin"])
def test_paper_settings(name):
    recipe = get_recipe(name)
    step = recipe.optimisation
    assert (step.learning_rate, step.weight_decay, step.betas) == (5e-5, 1e-3, (0.9, 0.98))
    assert (step.warmup_steps, step.gradient_clip) == (2000, 5.0)
    assert (recipe.data.batch_size, recipe.data.max_tokens) == (128, 30)
    assert recipe.data.tokenizer == "bert-base-uncased"
    assert (recipe.masking.kind, recipe.masking.ratio) == ("mssm", 0.15)
    assert (recipe.significance.top_k, recipe.significance.min_share) == (3000, 0.25)
    assert recipe.model["hidden_size"] == 768 and recipe.model["num_hidden_layers"] == 12


PAPER_TASKS = {
    "msrvtt_7k_retrieval": ("retrieval", 1e-5, 25_000), "msrvtt_mc": ("multichoice", 1e-5, 25_000),
    "msrvtt_9k_retrieval": ("retrieval", 1e-5, 25_000), "msrvtt_qa": ("qa", 1e-5, 25_000),
    "didemo_retrieval": ("retrieval", 1e-5, 25_000), "msvd_qa": ("qa", 1e-5, 18_000),
    "msvd_retrieval": ("retrieval", 1e-6, 25_000),
}  # fmt: skip


@pytest.mark.parametrize("name", PAPER_TASKS)
def test_paper_settings_of_fine_tuning(name):
    recipe = get_recipe(name)
    step = recipe.optimisation
    assert (recipe.task.name, step.learning_rate, step.total_steps) == PAPER_TASKS[name]
    assert (step.weight_decay, step.schedule, step.gamma) == (1e-4, "step", 0.1)
    assert step.milestones == (15_000,)
    assert (recipe.data.clips, recipe.data.batch_size) == (16, 32)
    assert recipe.data.middle == "lower" and recipe.task.answer_head == "linear"
    score = "cross_modal" if recipe.task.name == "multichoice" else "both"
    assert recipe.task.choice_score == score


def test_label_sets_of_the_paper():
    assert get_recipe("msrvtt_qa").task.answers == 1500
    assert get_recipe("msvd_qa").task.answers == 1000


def test_what_differs_between_the_papers_recipes():
    webvid, coco = get_recipe("webvid_swin"), get_recipe("coco_vg_pvt")
    assert (webvid.data.clips, webvid.data.frames, webvid.data.size) == (4, 1, 224)
    assert (webvid.optimisation.epochs, webvid.optimisation.milestones) == (10, (5,))
    assert (coco.data.clips, coco.data.frames) == (1, 1)
    assert (webvid.data.fit, webvid.data.middle) == ("crop", "lower")
    for images in (coco, get_recipe("coco_vg_resnet")):
        assert (images.data.size, images.data.fit, images.data.min_scale) == (768, "long", 0.5)
        assert not images.data.cache
    assert get_recipe("coco_vg_resnet").model["vision"] == "resnet50"
    assert coco.model["vision"] == "pvt_v2_b2"


@pytest.mark.parametrize("name", ["webvid_swin", *PAPER_TASKS])
def test_video_swin_sees_motion_between_the_paper_s_clips_of_one_frame(name):
    recipe = get_recipe(name)
    config = SNPConfig(**recipe.model)
    assert (config.vision, recipe.data.frames) == ("video_swin_s", 1)
    assert (config.swin_time_stride, config.swin_joint_clips) == (1, True)


@pytest.mark.parametrize("name", RECIPES)
def test_every_model_section_is_a_valid_configuration(name):
    model = get_recipe(name).network_fields()
    config, default = SNPConfig(**model), SNPConfig()
    for field, value in model.items():
        if field == "attn_implementation":  # transformers' own, under another name
            field = "_attn_implementation"
        assert hasattr(default, field), f"{field} would be taken silently, and do nothing"
        assert getattr(config, field) == value


def test_an_unknown_recipe_lists_the_names():
    with pytest.raises(UserError, match=r"no recipe 'lapptop' .*'laptop'.*; choose one of coco_vg"):
        get_recipe("lapptop")
