"""Several questions about each video of a batch: what is drawn, and what the model makes of it."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from snpkit.data.dataset import VideoTextDataset
from snpkit.data.samples import Manifest, VideoText
from snpkit.data.task_rows import one_row_a_clip
from snpkit.data.video_ids import video_id
from snpkit.errors import UserError
from snpkit.language.tokenizer import train_tokenizer
from snpkit.model.config import SNPConfig
from snpkit.model.downstream import SNPForQuestionAnswering
from snpkit.training.recipe import get_recipe, override
from snpkit.training.task_batches import TaskBatches
from tests.video.films import write_film

ANSWERS = ["red", "blue", "two"]


def question(number, clip, answer):
    extra = {"question": f"what {number}?", "answer": answer, "answer_type": "x"}
    return VideoText(f"q{number}", f"{clip}.mp4", f"what {number}?", "train", extra=extra)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("films")
    for number in range(5):
        write_film(folder / f"{number}.mp4", 4, 32, 32)
    return folder


def batches_of(folder, counts, questions, seed=0):
    """Clip n has counts[n] questions."""
    rows = [question(10 * clip + n, clip, ANSWERS[(clip + n) % 3])
            for clip, count in enumerate(counts) for n in range(count)]  # fmt: skip
    recipe = override(get_recipe("laptop_qa"), {
        "task.questions": questions, "data.batch_size": 2, "data.size": 16, "data.clips": 1,
        "data.frames": 1, "seed": seed,
    })  # fmt: skip
    manifest = Manifest(folder, one_row_a_clip(rows))
    dataset = VideoTextDataset(manifest, 1, 1, 16, training=True)
    tokenizer = train_tokenizer([row.caption for row in rows], vocab_size=60)
    return TaskBatches(dataset, tokenizer, recipe, ANSWERS, rows), rows


def asked(batches, batch):
    """(question, clip it is asked of) of a batch, read back from its tensors."""
    texts = batches.tokenizer.batch_decode(batch["input_ids"], skip_special_tokens=True)
    return list(zip([text.replace(" ", "") for text in texts], batch["video_index"].tolist(),
                    strict=True))  # fmt: skip


@settings(max_examples=15)
@given(
    st.lists(st.integers(1, 6), min_size=2, max_size=5), st.integers(2, 4), st.integers(0, 5)
)
def test_every_clip_gets_questions_of_its_own_none_twice(folder, counts, questions, seed):
    batches, rows = batches_of(folder, counts, questions, seed)
    answers = {row.caption.replace(" ", ""): row.extra["answer"] for row in rows}
    for _, (batch, files) in zip(range(3), batches, strict=False):
        pairs = asked(batches, batch)
        assert len(set(pairs)) == len(pairs)
        for text, index in pairs:
            number = int(text.removeprefix("what").removesuffix("?"))
            assert f"{number // 10}.mp4" == files[index]
        for index, file in enumerate(files):
            drawn = sum(place == index for _, place in pairs)
            assert drawn == min(questions, counts[int(file[0])])
        labels = [ANSWERS.index(answers[text]) for text, _ in pairs]
        assert batch["labels"].tolist() == labels
        assert len(batch["pixel_values"]) == len(batch["video_ids"].unique()) == 2


def test_the_draw_depends_on_the_position_alone(folder):
    first, _ = batches_of(folder, [6, 6, 6, 6], 2)
    whole = [asked(first, batch) for _, (batch, _) in zip(range(6), first, strict=False)]
    assert len({str(pairs) for pairs in whole}) > 3  # not the same questions every time
    cut, _ = batches_of(folder, [6, 6, 6, 6], 2)
    for _ in zip(range(3), cut, strict=False):
        state = cut.state_dict()
    later, _ = batches_of(folder, [6, 6, 6, 6], 2)
    later.load_state_dict(state)
    assert [asked(later, b) for _, (b, _) in zip(range(3), later, strict=False)] == whole[3:]


def test_a_video_that_is_encoded_once_gives_the_logits_of_one_encoded_for_each_question():
    torch.manual_seed(0)
    config = SNPConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16,
        vocab_size=110, vision="features",
    )  # fmt: skip
    model = SNPForQuestionAnswering(config, ANSWERS).double().eval()
    index = torch.tensor([0, 2, 2, 1, 0])
    texts = {"input_ids": torch.randint(5, 100, (5, 7)), "attention_mask": torch.ones(5, 7)}
    texts["labels"] = torch.tensor([0, 2, -100, 1, 1])
    grid = torch.randn(3, 2, 2, 16, 3, 3, dtype=torch.float64)
    once = model(pixel_values=grid, video_index=index, **texts)
    each = model(pixel_values=grid[index], **texts)
    torch.testing.assert_close(once.logits, each.logits, rtol=0, atol=1e-12)
    torch.testing.assert_close(once.loss, each.loss, rtol=0, atol=1e-12)


@pytest.mark.parametrize("task", ["retrieval", "multichoice", "qa"])
def test_every_task_draws_videos_and_says_which(folder, task):
    """Clip n has n + 1 rows; long captions are cut at random for retrieval alone."""
    words = ["red", "blue", "ball", "kite", "falls", "spins"]
    rows = []
    for clip in range(5):
        for number in range(clip + 1):
            text = " ".join(words[(clip + number + n) % 6] for n in range(6))
            extra = {"answer": ANSWERS[number % 2], "options": [text, "a kite"], "label": 0}
            rows.append(VideoText(f"{clip}-{number}", f"{clip}.mp4", text, "train", extra=extra))
    tokenizer = train_tokenizer([row.caption for row in rows], vocab_size=80)
    dataset = VideoTextDataset(Manifest(folder, rows), 1, 1, 16, training=True)

    def make(truncation):
        recipe = override(get_recipe(f"laptop_{task}"), {
            "data.batch_size": 5, "data.size": 16, "data.clips": 1, "data.frames": 1,
            "data.group": 1, "data.max_tokens": 5, "data.truncation": truncation,
            **({"task.questions": 1} if task == "qa" else {}),
        })  # fmt: skip
        return TaskBatches(dataset, tokenizer, recipe, ANSWERS)

    batches = make("start")
    assert len(batches) == 1
    cut = [batch for _, (batch, _) in zip(range(6), make("random"), strict=False)]
    plain = []
    for _, (batch, files) in zip(range(6), batches, strict=False):
        assert len(set(files)) == 5
        ids = [video_id(VideoText("x", file, "x", "x")) for file in files]
        assert batch["video_ids"].tolist() == ids
        plain.append(batch)
    same = all(torch.equal(one["input_ids"], other["input_ids"])
               for one, other in zip(plain, cut, strict=True))  # fmt: skip
    assert same == (task != "retrieval")


def test_other_tasks_ask_nothing():
    with pytest.raises(UserError, match=r"task\.questions must be 1"):
        override(get_recipe("laptop_multichoice"), {"task.questions": 3})
    with pytest.raises(UserError, match=r"task\.questions is 0; it should be greater"):
        override(get_recipe("laptop_qa"), {"task.questions": 0})
