"""The named recipes: the paper's settings, and our own where a choice says so.

Fine-tuning starts from a pre-trained checkpoint, which brings the model settings and the tokenizer.

Paper, all pre-training: AdamW with betas (0.9, 0.98), learning rate 5e-5, weight decay 1e-3,
gradient norm clipped at 5, 2,000 warm-up steps, a total batch of 128, 30 tokens, BERT-base-uncased.
"""

from dataclasses import replace

from snpkit.errors import UserError
from snpkit.training.schema import (
    DataRecipe,
    EvaluationRecipe,
    OptimisationRecipe,
    Recipe,
    SignificanceRecipe,
    TaskRecipe,
)

_PAPER_BATCH = 128  # over all GPUs; the paper uses 8
_BERT_BASE = {
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "max_position_embeddings": 512,
}
# The published code calls it Swin-B, but its widths and depths are those of Swin-S. Clips hold one
# frame, so motion is seen only between them.
_VIDEO_SWIN = {"vision": "video_swin_s", "swin_time_stride": 1, "swin_joint_clips": True}

laptop = Recipe(
    name="laptop",
    # The tunable numbers of `make run`, all in this one place.
    data=DataRecipe(
        clips=2, frames=4, size=64, batch_size=64, vocabulary_size=1000, workers=0, cache=True,
        # Our own clips need no guard. `snpkit pretrain --data` and `finetune --data` switch it on.
        guard_seconds=0,
    ),
    model={
        "architecture": "snp",
        "vision": "patch",
        "hidden_size": 128,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "intermediate_size": 512,
        "max_position_embeddings": 64,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
        "initializer_range": 0.08,
        "patch_size": 16,
        "patch_motion": True,
        "pooling": "mean_max",
        "negatives": 3,
        "logit_scale": True,
        "attn_implementation": "eager",
    },
    optimisation=OptimisationRecipe(
        learning_rate=1e-3, weight_decay=1e-2, warmup_steps=50, total_steps=1000, schedule="cosine"
    ),
    significance=SignificanceRecipe(top_k=300),
    evaluation=EvaluationRecipe(log_every=10, every=200, checkpoint_every=200),
    choices=(
        "Frames are read at 64 px from 96 px clips and kept in memory: a step is then all model.",
        "A model of 1.4 million weights, so that 1,000 steps fit in ten minutes on two cores.",
        "Weights start with deviation 0.08, about 1 / sqrt(128): at BERT's 0.02, made for a width "
        "of 768, a caption's first token hears so little of its words that the losses sit on a "
        "plateau.",
        "An overlapping patch stem with batch-norm, frame differences beside the frames, and mean "
        "plus maximum pooling: what learns at once from random weights.",
        "Learning rate 1e-3 with a short warm-up, no dropout: a small network, some 16 epochs.",
        "A learnable logit scale, and exact cross-modal matching over 3 negatives per caption "
        "drawn by their text-video score: all 64 x 64 pairs would take most of a step.",
        "300 significant words: the generated captions hold some two hundred content words.",
        "Attention spelt out, not fused: with bfloat16 on a CPU its backward pass is far faster.",
    ),
)

# The published configurations of Video Swin cut 224 pixels out of a short side of 268 to 336 at a
# random place, mirror half of the videos and apply 2 operations of RandAugment at magnitude 9.
# Those of ResNet-50 and PVT name none of it.
_SWIN_AUGMENTATION = {"flip": True, "random_crop": (1 / 1.5**2, 1 / 1.2**2), "randaugment": 2}
_AUGMENTATION_CHOICES = (
    "Random crops, flips and RandAugment as in the published configuration; ours crops the centre "
    "square, mirrors nothing whose text names a side, and leaves out what changes colours.",
    "Test frames show the whole centre square (ours; published: 224 of 268 pixels of it).",
)
_RANDOM_WINDOWS = (
    "Captions beyond 30 tokens are cut to a random window, as in the published configuration.",
)

gpu_subset = Recipe(
    name="gpu_subset",
    data=DataRecipe(
        clips=4, frames=1, size=224, batch_size=_PAPER_BATCH, tokenizer="bert-base-uncased",
        workers=8, cache=False,
    ),
    model={"architecture": "snp", "vision": "resnet50", **_BERT_BASE},
    optimisation=OptimisationRecipe(
        learning_rate=5e-5, warmup_steps=500, epochs=10, schedule="step", milestones=(5,)
    ),
    choices=(
        "One GPU and some ten thousand pairs: the WebVid settings with ResNet-50 in Swin's place.",
        "500 warm-up steps (ours): 2,000 would be a quarter of so short a run.",
    ),
)

_COCO_VG = {
    "data": DataRecipe(
        clips=1, frames=1, size=768, fit="long", min_scale=0.5, batch_size=_PAPER_BATCH,
        tokenizer="bert-base-uncased", workers=8, cache=False, truncation="random",
    ),
    "optimisation": OptimisationRecipe(learning_rate=5e-5, warmup_steps=2000, total_steps=200_000),
}
_COCO_VG_CHOICES = (
    "Images are videos of one frame: 1 clip x 1 frame.",
    "Whole pictures, long side 768 at a random scale in training, padded to 768 x 768 with a mask. "
    "The paper does not say how far the scale goes: 0.5 to 1, drawn uniformly, is ours.",
    "200,000 steps of batch 128 (ours): each of 5.6 million caption-image pairs is drawn about 4.5 "
    "times. An epoch visits each image once, with one of its captions.",
    *_RANDOM_WINDOWS,
)

coco_vg_resnet = Recipe(
    name="coco_vg_resnet",
    model={"architecture": "snp", "vision": "resnet50", **_BERT_BASE},
    choices=(
        *_COCO_VG_CHOICES,
        "ResNet-50: rows SNP-R50 and B1-B4 of the paper's tables.",
        "Its batch norms stay as they are once `vision_pretrained` names its weights, as in the "
        "published code.",
    ),
    **_COCO_VG,
)

coco_vg_pvt = Recipe(
    name="coco_vg_pvt",
    model={"architecture": "snp", "vision": "pvt_v2_b2", **_BERT_BASE},
    choices=(*_COCO_VG_CHOICES, "PVTv2-B2: rows SNP-PVT and B5-B8 of the paper's tables."),
    **_COCO_VG,
)

webvid_swin = Recipe(
    name="webvid_swin",
    data=DataRecipe(
        clips=4, frames=1, size=224, middle="lower", batch_size=_PAPER_BATCH,
        tokenizer="bert-base-uncased", workers=8, cache=False, truncation="random",
        **_SWIN_AUGMENTATION,
    ),
    model={"architecture": "snp", **_VIDEO_SWIN, **_BERT_BASE},
    optimisation=OptimisationRecipe(
        learning_rate=5e-5, warmup_steps=2000, epochs=10, schedule="step", milestones=(5,)
    ),
    choices=(
        "CC3M and WebVid: 4 clips x 1 frame at 224 px, 10 epochs, a tenth of the rate from "
        "epoch 5 on. An epoch visits each video once.",
        "Video Swin of the S size: rows B9-B10 of the paper's tables.",
        "It sees all clips of a video as one sequence, a time step for each frame, as in the "
        "published code.",
        *_AUGMENTATION_CHOICES,
        *_RANDOM_WINDOWS,
    ),
)

_MONITORS = {
    "retrieval": "matching.text_to_video.r1", "qa": "accuracy", "multichoice": "accuracy",
}  # fmt: skip


def _paper_task(
    name: str,
    task: str,
    *,
    rate: float = 1e-5,
    steps: int = 25_000,
    answers: int = 1000,
    score: str = "both",
    max_tokens: int = 30,
    choices: tuple[str, ...] = (),
) -> Recipe:
    """Fine-tuning of the paper: 16 clips, weight decay 1e-4, a tenth of the rate from 15k on."""
    return Recipe(
        name=name,
        task=TaskRecipe(task, answers, answer_head="linear", choice_score=score),
        data=DataRecipe(
            clips=16, frames=1, size=224, middle="lower", batch_size=32, max_tokens=max_tokens,
            tokenizer="bert-base-uncased", workers=8, cache=False, **_SWIN_AUGMENTATION,
        ),
        model={"architecture": "snp", **_VIDEO_SWIN, **_BERT_BASE},
        optimisation=OptimisationRecipe(
            learning_rate=rate, weight_decay=1e-4, warmup_steps=0, total_steps=steps,
            schedule="step", milestones=(15_000,),
        ),
        evaluation=EvaluationRecipe(monitor=_MONITORS[task], every=1000, checkpoint_every=1000),
        choices=(
            "The model section counts only when training starts from nothing.",
            "No warm-up: the paper names none for fine-tuning.",
            "As in the published code: the lower of a range's two middle frames in evaluation, and "
            "one linear layer as the answer head.",
            "An epoch visits each video once, with one of its captions or questions: no video "
            "stands twice in a batch.",
            *_AUGMENTATION_CHOICES,
            *choices,
        ),
    )


def _laptop_task(
    task: TaskRecipe, rate: float, steps: int, *choices: str, group: int = 1
) -> Recipe:
    """Fine-tuning on the generated corpus, in some three minutes on two cores."""
    return Recipe(
        name=f"laptop_{task.name}",
        task=task,
        data=replace(laptop.data, group=group),
        model=laptop.model | {"patch_stem": "deep"},
        optimisation=OptimisationRecipe(
            learning_rate=rate, weight_decay=1e-2, warmup_steps=30, total_steps=steps,
            schedule="cosine",
        ),
        evaluation=EvaluationRecipe(
            monitor=_MONITORS[task.name], every=100, checkpoint_every=100
        ),
        choices=(
            "The model section counts only when training starts from nothing; it is the one of "
            "the shipped checkpoint, so that the comparison is fair.",
            *choices,
        ),
    )


FINE_TUNING = (
    _laptop_task(TaskRecipe("retrieval"), 3e-4, 400,
                 "Both matching losses on whole captions, nothing masked.",
                 "In a batch 16 captions share their two commonest words, such as a colour and a "
                 "place: what else they say must tell them apart.", group=16),
    _laptop_task(TaskRecipe("qa", 100, questions=4, answer_from="pooled_and_clips"), 1e-3, 400,
                 "All answers of the training questions are in the label set.",
                 "Four questions about each of a batch's videos: encoding a video costs most.",
                 "The answer head reads the mean clip token too: through the layers alone a small "
                 "network did not find the motion in 300 steps (9 % right, which is chance)."),
    _laptop_task(TaskRecipe("multichoice"), 3e-4, 300,
                 "Five options, scored by the sum of both matching scores."),
    _paper_task("msrvtt_7k_retrieval", "retrieval"),
    _paper_task("msrvtt_9k_retrieval", "retrieval"),
    _paper_task("didemo_retrieval", "retrieval", max_tokens=64,
                choices=("All descriptions of a video are joined to one paragraph.",
                         "64 tokens, for paragraphs (ours; the paper names 30 for captions).")),
    _paper_task("msvd_retrieval", "retrieval", rate=1e-6),
    _paper_task("msrvtt_qa", "qa", answers=1500),
    _paper_task("msvd_qa", "qa", steps=18_000, answers=1000),
    _paper_task("msrvtt_mc", "multichoice", score="cross_modal",
                choices=("The cross-modal score alone decides, as in the published code.",
                         "The paper answers zero-shot from the retrieval model "
                         "(`snpkit evaluate`); fine-tuning on choices is ours.",)),
)  # fmt: skip

RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (laptop, gpu_subset, coco_vg_resnet, coco_vg_pvt, webvid_swin, *FINE_TUNING)
}


def get_recipe(name: str) -> Recipe:
    """The named recipe.

    Raises:
        UserError: there is no such recipe; lists the names.
    """
    if name not in RECIPES:
        raise UserError(f"There is no recipe {name!r}; choose one of {', '.join(RECIPES)}.")
    return RECIPES[name]
