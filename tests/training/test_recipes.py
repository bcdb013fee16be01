"""The named recipes hold the paper's numbers and fit the model's configuration."""

import pytest

from snpkit.errors import UserError
from snpkit.model.config import SNPConfig
from snpkit.training.recipes import RECIPES, get_recipe


def test_the_recipes_of_the_design_are_there_and_say_what_they_chose():
    assert set(RECIPES) == {
        "laptop", "gpu_subset", "coco_vg_resnet", "coco_vg_pvt", "webvid_swin",
        "laptop_retrieval", "laptop_qa", "laptop_multichoice",
        "msrvtt_7k_retrieval", "msrvtt_9k_retrieval", "didemo_retrieval", "msvd_retrieval",
        "msrvtt_qa", "msvd_qa", "msrvtt_mc",
    }  # fmt: skip
    for recipe in RECIPES.values():
        assert len(recipe.choices) >= 2
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
    model = get_recipe(name).model
    config, default = SNPConfig(**model), SNPConfig()
    for field, value in model.items():
        if field == "attn_implementation":  # transformers' own, under another name
            field = "_attn_implementation"
        assert hasattr(default, field), f"{field} would be taken silently, and do nothing"
        assert getattr(config, field) == value


def test_an_unknown_recipe_lists_the_names():
    with pytest.raises(UserError, match="no recipe 'lapptop'; choose one of laptop, gpu_subset"):
        get_recipe("lapptop")
