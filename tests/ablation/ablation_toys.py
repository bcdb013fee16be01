"""A plan of two rows on one tiny corpus, and made-up records of a larger one."""

import json

import numpy as np

from snpkit.ablation.plan import load_plan
from snpkit.ablation.runs import FORMAT, Workplace

TWIN = {"model.architecture": "twin_tower", "model.tasks": ["text_mlm", "gvtm_text_video"]}


def toy_values():
    """The plan as a JSON file holds it."""
    return {
        "name": "toy",
        "recipe": "laptop",
        "changes": {
            "data.batch_size": 8, "data.size": 32, "data.frames": 2, "data.vocabulary_size": 300,
            "data.clips": 1, "model.hidden_size": 32, "model.num_hidden_layers": 1,
            "model.num_attention_heads": 2, "model.intermediate_size": 64,
            "optimisation.total_steps": 4, "optimisation.warmup_steps": 1,
            "optimisation.precision": "fp32",
        },
        "seeds": 2,
        "evaluate_every": 2,
        "top_k": 3,
        "questions": {"optimisation.total_steps": 2, "evaluation.checkpoint_every": 1},
        "corpora": {
            "easy": {
                "title": "compositions",
                "settings": {"train": 16, "validation": 0, "test": 6, "size": 32, "seconds": 1.0},
            }
        },
        "rows": {
            "snp": {"title": "SNP"},
            "twin": {"title": "Twin tower", "changes": dict(TWIN)},
        },
        "tables": {"II": {"title": "towers", "baseline": "snp", "rows": ["snp", "twin"]}},
    }  # fmt: skip


def write_plan(folder, values=None):
    path = folder / "plan.json"
    path.write_text(json.dumps(values or toy_values()))
    return path


def workplace(folder, values=None, **options):
    plan = load_plan(str(write_plan(folder, values)))
    return Workplace(plan, folder / "runs", folder / "data", device="cpu", **options)


def made_up_record(row, seed, r10, *, corpus="easy", cost=0.1, last=4, questions=None):
    """A record whose matching R@10 goes straight from r10 / 2 at half of the steps to r10."""
    def point(step, value):
        metrics = {"r1": value / 4, "r5": value / 2, "r10": value, "median_rank": 100 - value}
        both = {"matching": metrics}
        if row != "twin":
            both["reranked"] = {name: number + 1 for name, number in metrics.items()}
        return {"step": step, "seconds": 2 * cost * step, "cpu_seconds": cost * step} | both

    return {
        "format": FORMAT, "corpus": corpus, "row": row, "seed": seed,
        "curve": [point(last // 2, r10 / 2), point(last, r10)], "losses": {"lvwm": 1.0},
        "parameters": 1000, "machine": {"device": "cpu"}, "skipped": 0,
        "questions": None if questions is None else {"accuracy": questions},
    }  # fmt: skip


def made_up_records(seeds=5, gain=3.0, spread=1.0):
    """Both rows; the twin tower is twice as fast, and `gain` points below in matching."""
    draws = np.random.default_rng(0).normal(0, spread, seeds).tolist()
    return [
        record
        for seed, noise in enumerate(draws)
        for record in (
            made_up_record("snp", seed, 60 + 2 * noise, cost=0.2, questions=40 + noise),
            made_up_record("twin", seed, 60 - gain + noise),
        )
    ]


def numbers(record):
    """A record without what differs from run to run: the times."""
    points = [{k: v for k, v in point.items() if "seconds" not in k} for point in record["curve"]]
    return {k: v for k, v in record.items() if k != "machine"} | {"curve": points}


def quiet(sentence):
    pass
