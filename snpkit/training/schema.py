from snpkit.training.recipe import *  # noqa: F403
