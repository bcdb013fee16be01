"""SNPForPreTraining against the straightforward implementation, on random data in float64."""

import pytest
import torch
from torch import Tensor

from snpkit.errors import UserError
from snpkit.model import objectives
from snpkit.model.config import SNPConfig
from snpkit.model.pretraining import SNPForPreTraining, word_positions
from tests.benchmarks import straightforward as plain
from tests.model.cases import (
    TIGHT,
    build,
    choices,
    compare_gradients,
    double,
    random_batch,
    random_weights,
    small_config,
)

LENGTHS = (6, 11, 4, 5)  # 3, 2, 1 and 0 significant words
CASES: dict[str, dict[str, object]] = {
    "clips and frames": {},
    "one clip": {"clips": 1, "frames": 1},
    "even clips": {"clips": 4},
    "projection": {"vision_width": 16},
    "wide projection": {"vision_width": 40, "text_mlm": "unmasked"},
    "words before": {"lvwm_stage": "before"},
    "words before and after": {"lvwm_stage": "both"},
    "copying text mlm": {"text_mlm": "unmasked"},
    "itm": {"itm": True},
    "temperature": {"logit_scale": True, "itm": True},
    "own temperature": {"logit_scale": 3.0, "lvwm_stage": "both"},
    "mean and maximum": {"pooling": "mean_max", "vision_width": 16},
    "three fusion": {"architecture": "three_fusion", "itm": True, "lvwm_stage": "both"},
    "three fusion, deep": {"architecture": "three_fusion", "cross_layers": 3},
    "everything": {
        "architecture": "three_fusion", "itm": True, "lvwm_stage": "both", "vision_width": 10,
        "pooling": "mean_max", "logit_scale": 2.0, "text_mlm": "unmasked", "clips": 5,
    },
}  # fmt: skip


def compare(
    config: SNPConfig,
    batch: dict[str, Tensor],
    seed: int = 0,
    attended: Tensor | None = None,
    training: bool = False,
) -> None:
    """Losses, scores and the gradient of every weight, ours against the straightforward ones."""
    weights = random_weights(config, seed)
    leaves = double({n: v.clone() for n, v in weights.items()}, grad=True)
    expected = plain.pretraining(leaves, batch, choices(config), attended=attended)
    model = build(config, weights).train(training)
    output = model(batch)
    assert output.losses.keys() == expected.losses.keys()
    for name, loss in expected.losses.items():
        torch.testing.assert_close(output.losses[name], loss, **TIGHT, msg=name)
    for name, scores in expected.scores.items():
        reduced = scores.detach().logsumexp(-1)
        torch.testing.assert_close(output.similarities[name], reduced, **TIGHT, msg=name)
    torch.testing.assert_close(output.loss, expected.loss, **TIGHT)
    expected.loss.backward()
    output.loss.backward()
    compare_gradients(model, leaves)


@pytest.mark.parametrize("name", CASES)
def test_every_loss_score_and_gradient(name) -> None:
    config = small_config(**CASES[name])
    compare(config, random_batch(config, LENGTHS, seed=len(name)), seed=len(name) + 1)


def test_without_a_pixel_mask() -> None:
    batch = random_batch(small_config(), LENGTHS)
    del batch["pixel_mask"]
    compare(small_config(), batch)


def test_captions_without_padding() -> None:
    compare(small_config(), random_batch(small_config(), (7, 7)))


def test_batch_of_one() -> None:
    config = small_config(itm=True)
    batch = random_batch(config, (8,))
    compare(config, batch)
    losses = build(config, random_weights(config))(batch).losses
    for name in ("gvtm_text_video", "gvtm_cross_modal", "lvwm"):
        torch.testing.assert_close(losses[name], torch.zeros_like(losses[name]), **TIGHT)


@pytest.mark.parametrize("text_mlm", ["masked", "unmasked"])
def test_batch_without_any_label(text_mlm) -> None:
    config = small_config(text_mlm=text_mlm)
    batch = random_batch(config, LENGTHS)
    batch |= {
        "masked_input_ids": batch["input_ids"],
        "labels": torch.full_like(batch["labels"], -100),
    }
    compare(config, batch)
    output = build(config, random_weights(config))(batch)
    assert output.losses["text_mlm"] == 0 and output.losses["cross_mlm"] == 0
    assert torch.isfinite(output.loss)


def test_longer_padding_changes_nothing() -> None:
    config = small_config(itm=True, lvwm_stage="both")
    batch, model = random_batch(config, LENGTHS), build(config, random_weights(config)).eval()
    fill = {"labels": -100}
    padded = {
        name: torch.nn.functional.pad(value, (0, 5), value=fill.get(name, 0))
        if value.ndim == 2 and name != "significant_positions"
        else value
        for name, value in batch.items()
    }
    assert padded["input_ids"].shape[1] == batch["input_ids"].shape[1] + 5
    expected = model(batch).losses
    for name, loss in model(padded).losses.items():
        torch.testing.assert_close(loss, expected[name], **TIGHT, msg=name)


def test_masked_pixels_are_never_seen() -> None:
    config = small_config(pooling="mean_max")
    batch, model = random_batch(config, LENGTHS), build(config, random_weights(config)).eval()
    expected = model(batch).loss
    hidden = ~batch["pixel_mask"][:, :, :, None].expand_as(batch["pixel_values"])
    batch["pixel_values"] = batch["pixel_values"].masked_fill(hidden, 1e3)
    torch.testing.assert_close(model(batch).loss, expected, **TIGHT)


@pytest.mark.parametrize("changes", [{}, {"text_mlm": "unmasked"}, {"lvwm_stage": "both"}])
def test_attentive_masking_with_given_positions(monkeypatch, changes) -> None:
    config = small_config(attentive_masking=1.0, **changes)
    batch, weights = random_batch(config, LENGTHS), random_weights(config)
    drawn = torch.zeros_like(batch["input_ids"], dtype=torch.bool)
    for row, places in enumerate([[1, 3], [2, 5, 9], [1], [2]]):
        drawn[row, places] = True
    seen: list[Tensor] = []

    def given(received: Tensor, words: Tensor, ratio: float = 0.15) -> Tensor:
        seen.extend([received, words])
        return drawn

    monkeypatch.setattr(objectives, "draw_attended", given)
    compare(config, batch, seed=0, attended=drawn, training=True)
    ids, mask = batch["input_ids"], batch["attention_mask"]
    attention = plain.text_pass(weights, ids, mask, config.num_attention_heads)[2]
    torch.testing.assert_close(seen[0][mask == 1], plain.attention_received(attention)[mask == 1])
    assert torch.equal(seen[1], word_positions(config, ids, mask))
    assert torch.equal(seen[1], (mask == 1) & (ids > 103))
    # Evaluation keeps the batch's own masks, whatever the probability.
    seen.clear()
    compare(config, batch)
    assert not seen


def test_attentive_masking_happens_as_often_as_asked(monkeypatch) -> None:
    config = small_config(attentive_masking=0.3, tasks=["text_mlm"])
    batch, count, original = random_batch(config), [], objectives.draw_attended
    monkeypatch.setattr(objectives, "draw_attended", lambda *a: count.append(1) or original(*a))
    model = build(config, random_weights(config)).train()
    torch.manual_seed(0)
    with torch.no_grad():
        for _ in range(200):
            model(batch)
    assert 40 <= len(count) <= 80  # mean 60, standard deviation 6.5


def test_all_but_one_negatives_are_all_pairs() -> None:
    config = small_config()
    batch, weights = random_batch(config, LENGTHS), random_weights(config)
    expected = build(config, weights).eval()(batch)
    for count in (3, 10):
        model = build(small_config(negatives=count), weights).eval()
        torch.testing.assert_close(model(batch).losses, expected.losses, **TIGHT)


def test_fewer_negatives_leave_the_others_out(monkeypatch) -> None:
    config = small_config(negatives=2)
    batch, weights = random_batch(config, LENGTHS), random_weights(config)
    drawn = torch.tensor([[1, 3], [0, 2], [3, 1], [0, 1]])
    given: list[Tensor] = []
    monkeypatch.setattr(objectives, "draw_negatives", lambda s, *_: given.append(s) or drawn)
    output = build(config, weights).eval()(batch)
    computed = torch.eye(4, dtype=torch.bool).scatter(1, drawn, True)
    expected = plain.pretraining(weights, batch, choices(config), computed=computed)
    torch.testing.assert_close(output.losses, expected.losses, **TIGHT)
    assert torch.equal(torch.isfinite(output.similarities["cross_modal"]), computed)
    torch.testing.assert_close(given[0], expected.scores["text_video"].logsumexp(-1))


def test_tasks_choose_the_losses() -> None:
    weights, batch = random_weights(small_config()), random_batch(small_config(), LENGTHS)
    expected = build(small_config(), weights).eval()(batch).losses
    for task in ("text_mlm", "cross_mlm", "gvtm_text_video", "gvtm_cross_modal", "lvwm"):
        output = build(small_config(tasks=[task]), weights).eval()(batch)
        torch.testing.assert_close(output.losses, {task: expected[task]}, **TIGHT)
        torch.testing.assert_close(output.loss, expected[task], **TIGHT)


def test_absent_significant_positions_are_drawn_from_the_mask_or_from_all_words() -> None:
    config = small_config()
    batch, model = random_batch(config, LENGTHS), build(config, random_weights(config)).eval()
    del batch["significant_positions"]
    words = word_positions(config, batch["input_ids"], batch["attention_mask"])
    significant = words.clone()
    significant[0], significant[1, 4:], significant[2] = False, False, False
    significant[0, 2] = True  # one word; the third caption has none
    torch.manual_seed(0)
    for allowed in (words, significant):
        if allowed is significant:
            batch["significant_mask"] = significant
        for _ in range(20):
            positions, present = model._significant_words(batch)
            for row in range(4):
                chosen = positions[row][present[row]].tolist()
                count = min(3, int(allowed[row].sum()))
                assert len(set(chosen)) == len(chosen) == max(count, 1)
                assert not count or all(allowed[row, place] for place in chosen)
    assert torch.isfinite(model(batch).loss)


def test_twin_tower_matches_like_snp_and_refuses_cross_modal_tasks() -> None:
    tasks = ["text_mlm", "gvtm_text_video", "lvwm"]
    config = small_config(architecture="twin_tower", tasks=tasks)
    batch, model = random_batch(config, LENGTHS), SNPForPreTraining(config).double().eval()
    other = SNPForPreTraining(small_config(tasks=tasks)).double().eval()
    other.load_state_dict(model.state_dict(), strict=False)
    torch.testing.assert_close(model(batch).losses, other(batch).losses, **TIGHT)
    for changes in ({}, {"tasks": tasks, "itm": True}, {"tasks": ["cross_mlm"]}):
        with pytest.raises(UserError, match=r"A twin tower has no cross-modal pass.*architecture"):
            SNPForPreTraining(small_config(architecture="twin_tower", **changes))
    video = model.encode_video(batch["pixel_values"])
    with pytest.raises(UserError, match="A twin tower has no cross-modal pass"):
        model.cross_match(batch["input_ids"], batch["attention_mask"], video.clip_tokens)
    with pytest.raises(UserError, match="A twin tower has no cross-modal pass"):
        scores = torch.zeros(len(LENGTHS), len(LENGTHS), video.clip_tokens.shape[1])
        model.match_pairs(batch, video.clip_tokens, scores)


def test_autocast_keeps_matching_scores_in_float32_and_losses_close() -> None:
    config = small_config(itm=True, lvwm_stage="both", logit_scale=True, negatives=2)
    torch.manual_seed(0)
    model, batch = SNPForPreTraining(config).eval(), random_batch(config, LENGTHS)
    batch["pixel_values"] = batch["pixel_values"].float()
    torch.manual_seed(1)
    expected = model(batch)
    torch.manual_seed(1)
    with torch.autocast("cpu", torch.bfloat16):
        output = model(batch)
    for name in ("text_video", "lvwm_before", "lvwm_after"):
        assert output.similarities[name].dtype == torch.float32
    for name, loss in expected.losses.items():
        assert output.losses[name].item() == pytest.approx(loss.item(), rel=0.03), name
    output.loss.backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
