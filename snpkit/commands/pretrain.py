"""`snpkit pretrain`: train a model by a recipe."""

import tyro

from snpkit.commands.training import TrainingOptions, train


def pretrain(
    recipe: tyro.conf.Positional[str] = "laptop",
    text: str | None = None,
    start: str | None = None,
    common: tyro.conf.OmitArgPrefixes[TrainingOptions] = TrainingOptions(),  # noqa: B008 (frozen)
) -> int:
    """Pre-train by a recipe: all losses, with evaluation, checkpoints and exact resume.

    Args:
        recipe: laptop, gpu_subset, coco_vg_resnet, coco_vg_pvt, webvid_swin, or a .yaml or
            .json file of your own.
        text: BERT directory or hub id that initialises the shared network; by default the recipe's
            model.text_pretrained.
        start: Pre-trained checkpoint to go on from: "laptop", a folder or a hub id. The recipe's
            model section is not read then.
        common: Of data, recipe and run.
    """
    return train(recipe, "pretraining", common, text=text, start=start)
