"""Results of evaluations as lines of text."""

from typing import TYPE_CHECKING, Any

from snpkit.text import format_table

if TYPE_CHECKING:
    from snpkit.evaluation.grounding import Grounding


def metrics_table(metrics: dict[str, Any]) -> str:
    """The metrics of `evaluate_retrieval`."""
    names = ("r1", "r5", "r10", "median_rank", "mean_rank")
    rows = [
        [f"{column} {direction.replace('_', ' ')}", *(f"{values[name]:.1f}" for name in names)]
        for column in ("matching", "reranked", "dual_softmax", "chance")
        for direction, values in metrics.get(column, {}).items()
    ]
    return format_table([["", *names], *rows])


def task_table(task: str, metrics: dict[str, Any]) -> str:
    """The metrics of a task."""
    if task == "retrieval":
        return metrics_table(metrics)
    if task == "multichoice":
        chosen = "choosing by both scores" if metrics["choice_score"] == "both" else "the model"
        rows = {
            chosen: metrics["accuracy"],
            "choosing by matching alone": metrics["matching"],
            "choosing by cross-modal score": metrics["cross_modal"],
            "chance": metrics["chance"],
        }
    else:
        rows = {"the model": metrics["accuracy"]}
        if "commonest" in metrics:
            rows |= {
                "always the commonest answer": metrics["commonest"],
                "the commonest of each type": metrics["commonest_by_type"],
            }
        rows |= {f"the model: {kind}": value for kind, value in metrics["by_type"].items()}
    head = [f"accuracy, %, of {metrics['questions']} questions", ""]
    return format_table([head, *([name, f"{value:.1f}"] for name, value in rows.items())])


def grounding_lines(grounding: "Grounding") -> str:
    """The outcome of `measure_grounding`."""
    game, contrast = grounding.pointing, grounding.contrast
    hits = {
        "map of the noun": (game.videos_hit, game.frames_hit),
        "contrast alone (no model)": (contrast.videos_hit, contrast.frames_hit),
        "best fixed cell": (game.best_fixed_video, game.best_fixed_frames),
        "chance (a random point)": (game.chance, game.chance),
    }
    won = {
        kind: (each.mean, each.median, each.pairs) for kind, each in grounding.contests.items()
    }
    return "\n".join([
        f"\nPointing game, {game.videos} clips: is the strongest point inside the object's box?",
        _percentages(["", "of the clip %", "of each frame %"], hits),
        "\nContent words above function words, % of captions",
        _percentages(["", "by mean", "by median", "pairs"], won),
    ])


def _percentages(head: list[str], rows: dict[str, tuple[float, ...]]) -> str:
    cells = ([name, *(f"{100 * share:.1f}" for share in row)] for name, row in rows.items())
    return format_table([head, *cells])
