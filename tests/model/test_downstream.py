"""The downstream models: equal to plain loops, and true to the weights of pre-training."""

import copy

import pytest
import torch
import torch.nn.functional as F

from snpkit.errors import UserError
from snpkit.model.downstream import (
    NO_LABEL,
    SNPForMultipleChoice,
    SNPForQuestionAnswering,
    SNPForRetrieval,
    choice_logits,
    from_pretraining,
)
from snpkit.model.pretraining import SNPForPreTraining
from tests.model.cases import small_config

ANSWERS = ["red", "blue", "two"]


def batch_of(size=4, tokens=6, options=None, seed=0):
    generator = torch.Generator().manual_seed(seed)
    shape = (size, tokens) if options is None else (size, options, tokens)
    mask = torch.ones(shape, dtype=torch.long)
    mask[..., 0, 4:] = 0  # some padding
    return {
        "input_ids": torch.randint(5, 150, shape, generator=generator),
        "attention_mask": mask,
        "pixel_values": torch.randn(size, 3, 2, 24, 2, 2, generator=generator),
    }


@pytest.fixture(scope="module")
def pretrained():
    torch.manual_seed(0)
    return SNPForPreTraining(small_config(logit_scale=True, negatives=2)).eval()


def test_retrieval_compares_every_pair_by_both_scores(pretrained):
    config = copy.deepcopy(pretrained.config)
    config.negatives = "all"
    model = from_pretraining("retrieval", pretrained, config).eval()
    batch = batch_of()
    output = model(batch)
    video = model.encode_video(batch["pixel_values"])
    ids, mask = batch["input_ids"], batch["attention_mask"]
    text = model.encode_text(ids, mask).pooled
    clipwise = model.scale("text_video") * torch.einsum("th,vch->tvc", text, video.clip_features)
    pairs = torch.stack([
        model.cross_match(ids, mask, video.clip_tokens[[column] * 4]) for column in range(4)
    ], dim=1)  # fmt: skip

    def nce(scores):  # golden/README: the centre clip of every text for a video, C times; and the
        clips = scores.shape[2]  # clips of the other videos for its text
        total = 0.0
        for i in range(4):
            terms = clips * scores[:, i, clips // 2].exp().sum()
            terms = terms + sum(scores[i, v].exp().sum() for v in range(4) if v != i)
            total += terms.log() - (clips * scores[i, i, clips // 2].exp()).log()
        return total / 4

    assert output.losses["gvtm_text_video"].item() == pytest.approx(nce(clipwise).item(), abs=1e-4)
    found = output.losses["gvtm_cross_modal"].item()
    assert found == pytest.approx(nce(pairs[:, :, None]).item(), abs=1e-4)
    assert output.loss.item() == pytest.approx(sum(v.item() for v in output.losses.values()))


def test_answers_are_classified_from_the_joint_pass_and_unlabelled_rows_do_not_count(pretrained):
    model = from_pretraining("qa", pretrained, pretrained.config, answers=ANSWERS).eval()
    batch = batch_of()
    labels = torch.tensor([0, NO_LABEL, 2, 1])
    output = model(batch | {"labels": labels})
    for row in range(4):
        one = {name: value[row : row + 1] for name, value in batch.items()}
        assert torch.allclose(model(one).logits[0], output.logits[row], atol=1e-5)
    kept = [0, 2, 3]
    expected = F.cross_entropy(output.logits[kept], labels[kept])
    assert output.loss.item() == pytest.approx(expected.item(), rel=1e-5)
    nothing = model(batch | {"labels": torch.full((4,), NO_LABEL)})
    assert nothing.loss.item() == 0
    nothing.loss.backward()
    assert all(p.grad is None or not p.grad.any() for p in model.parameters())


def test_the_answer_head_may_read_the_clips_besides_the_pooled_vector(pretrained, tmp_path):
    config = copy.deepcopy(pretrained.config)
    config.answer_from = "pooled_and_clips"
    model = from_pretraining("qa", pretrained, config, answers=ANSWERS).eval()
    batch = batch_of()
    clips = model.encode_video(batch["pixel_values"]).clip_tokens
    joint = model.network.cross_modal_pass(batch["input_ids"], batch["attention_mask"], clips)
    read = torch.stack([
        torch.cat([joint.pooled[row], sum(clips[row]) / len(clips[row])]) for row in range(4)
    ])  # fmt: skip
    assert torch.allclose(model(batch).logits, model.answer_head(read), atol=1e-5)
    # A layer that hears nothing of the video does not keep the gradient from it.
    tokens = clips.detach().requires_grad_()
    model.network.cross_modal_pass = lambda *_, **__: joint
    model.answer_logits(batch["input_ids"], batch["attention_mask"], tokens)[:, 0].sum().backward()
    assert tokens.grad.abs().sum() > 0
    del model.network.cross_modal_pass
    model.save_pretrained(tmp_path)
    again = SNPForQuestionAnswering.from_pretrained(tmp_path).eval()
    assert torch.allclose(again(batch).logits, model(batch).logits, atol=1e-6)


def test_options_are_scored_one_by_one(pretrained):
    model = from_pretraining("multichoice", pretrained, pretrained.config).eval()
    batch = batch_of(options=5)
    output = model(batch | {"labels": torch.tensor([4, 0, 1, 2])})
    video = model.encode_video(batch["pixel_values"])
    for row in range(4):
        ids, mask = batch["input_ids"][row], batch["attention_mask"][row]
        matching = model.match(model.encode_text(ids, mask).pooled, video.clip_features)[:, row]
        crossed = model.cross_match(ids, mask, video.clip_tokens[[row] * 5])
        assert torch.allclose(output.logits[row], matching + crossed, atol=1e-4)
    expected = F.cross_entropy(output.logits, torch.tensor([4, 0, 1, 2]))
    assert output.loss.item() == pytest.approx(expected.item(), rel=1e-5)
    # A pre-trained model has the same scores: it chooses zero-shot.
    scores = pretrained.option_scores(
        batch["input_ids"], batch["attention_mask"], video.clip_features, video.clip_tokens
    )
    assert torch.allclose(sum(scores), output.logits, atol=1e-4)


@pytest.mark.parametrize("score", ["both", "cross_modal", "text_video"])
def test_the_score_that_chooses_can_be_chosen(pretrained, score):
    matching, cross_modal = torch.tensor([[1.0, 2.0]]), torch.tensor([[4.0, 8.0]])
    config = copy.deepcopy(pretrained.config)
    config.choice_score = score
    expected = {"both": [5, 10], "cross_modal": [4, 8], "text_video": [1, 2]}[score]
    assert choice_logits(config, matching, cross_modal).tolist() == [expected]
    twin = small_config(architecture="twin_tower", choice_score=score)
    assert choice_logits(twin, matching, cross_modal).tolist() == [[1, 2]]
    model = from_pretraining("multichoice", None, config).eval()
    model.option_scores = lambda *_: (matching, cross_modal)
    assert model(batch_of(options=2)).logits.tolist() == [expected]


def test_the_answer_head_may_be_one_layer(pretrained, tmp_path):
    config = copy.deepcopy(pretrained.config)
    config.answer_head = "linear"
    model = from_pretraining("qa", pretrained, config, answers=ANSWERS).eval()
    shapes = {n: list(p.shape) for n, p in model.answer_head.named_parameters()}
    assert shapes == {"weight": [3, 24], "bias": [3]}
    batch = batch_of()
    clips = model.encode_video(batch["pixel_values"]).clip_tokens
    joint = model.network.cross_modal_pass(batch["input_ids"], batch["attention_mask"], clips)
    expected = joint.pooled @ model.answer_head.weight.T + model.answer_head.bias
    assert torch.allclose(model(batch).logits, expected, atol=1e-5)
    model.save_pretrained(tmp_path)
    again = SNPForQuestionAnswering.from_pretrained(tmp_path).eval()
    assert torch.equal(again.answer_head.weight, model.answer_head.weight)


@pytest.mark.parametrize("task", ["retrieval", "qa", "multichoice"])
def test_every_shared_weight_is_carried_over_and_learns(pretrained, task):
    options = {"answers": ANSWERS} if task == "qa" else {}
    model = from_pretraining(task, pretrained, copy.deepcopy(pretrained.config), **options)
    given = pretrained.state_dict()
    new = {name for name in model.state_dict() if name not in given}
    assert all(name.startswith("answer_head.") for name in new)
    assert bool(new) == (task == "qa")
    for name, value in model.state_dict().items():
        assert name in new or torch.equal(value, given[name])
    batch = batch_of(options=5 if task == "multichoice" else None)
    model(batch | {"labels": torch.tensor([0, 1, 2, 1])}).loss.backward()
    idle = {name for name, p in model.named_parameters() if p.grad is None}
    allowed = {"network.bert.pooler", "video.clip_head", "log_scales"} if task == "qa" else set()
    assert all(any(name.startswith(a) for a in allowed) for name in idle), idle


@pytest.mark.parametrize("kind", [SNPForRetrieval, SNPForQuestionAnswering, SNPForMultipleChoice])
def test_from_pretrained_reads_pretraining_and_its_own_checkpoints(pretrained, tmp_path, kind):
    pretrained.save_pretrained(tmp_path / "before")
    options = {"answers": ANSWERS} if kind is SNPForQuestionAnswering else {}
    torch.manual_seed(1)
    model = kind.from_pretrained(tmp_path / "before", **options).eval()
    own = model.network.bert.embeddings.word_embeddings.weight
    assert torch.equal(own, pretrained.word_embeddings)
    model.save_pretrained(tmp_path / "after")
    again = kind.from_pretrained(tmp_path / "after").eval()
    for name, value in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], value), name
    if options:
        assert again.answers == ANSWERS


@pytest.mark.parametrize("answers", [[], ["red"], ["red", "red"]])
def test_a_label_set_has_two_answers_none_of_them_twice(answers):
    with pytest.raises(UserError, match="two or more answers"):
        SNPForQuestionAnswering(small_config(), answers=answers)


def test_a_twin_tower_retrieves_but_does_not_answer():
    config = small_config(architecture="twin_tower", tasks=["text_mlm", "gvtm_text_video", "lvwm"])
    model = SNPForRetrieval(config)
    assert set(model(batch_of()).losses) == {"gvtm_text_video"}
    for task in ("qa", "multichoice"):
        with pytest.raises(UserError, match="twin tower cannot"):
            from_pretraining(task, None, copy.deepcopy(config))


def test_weights_of_other_sizes_and_unknown_tasks_are_named(pretrained):
    with pytest.raises(UserError, match="choose one of retrieval, qa, multichoice"):
        from_pretraining("captioning", pretrained, pretrained.config)
    with pytest.raises(UserError, match=r"weight .* is \["):
        from_pretraining("retrieval", pretrained, small_config(hidden_size=48))


def test_gradients_are_the_same_every_time_on_several_threads(pretrained):
    """Sums over the pairs of a caption must not depend on which thread comes first."""
    model = from_pretraining("retrieval", pretrained, copy.deepcopy(pretrained.config))
    batch = batch_of(size=64, tokens=14)

    def gradients():
        torch.manual_seed(0)
        model.zero_grad()
        model(batch).loss.backward()
        return [p.grad.clone() for p in model.parameters() if p.grad is not None]

    threads = torch.get_num_threads()
    torch.set_num_threads(4)
    try:
        first = gradients()
        for _ in range(8):
            assert all(torch.equal(a, b) for a, b in zip(first, gradients(), strict=True))
    finally:
        torch.set_num_threads(threads)
