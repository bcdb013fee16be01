"""The real model with random weights, on random clips: retrieval must not know the answers."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from snpkit.evaluation.encoding import EncodedVideos, encode_texts
from snpkit.evaluation.metrics import chance_metrics
from snpkit.evaluation.retrieval import cross_scores, evaluate_retrieval, run_retrieval
from snpkit.language.tokenizer import train_tokenizer
from snpkit.model.config import SNPConfig
from snpkit.model.pretraining import SNPForPreTraining

CLIPS = 200


@pytest.fixture(scope="module")
def captions():
    generator = np.random.default_rng(0)
    words = ["".join(generator.choice(list("abcdefghijklmnop"), 4)) for _ in range(80)]
    return [" ".join(generator.choice(words, 6)) for _ in range(CLIPS)]


@pytest.fixture(scope="module")
def tokenizer(captions):
    return train_tokenizer(captions, 300)


class RandomClips:
    def __init__(self, captions, seed):
        generator = torch.Generator().manual_seed(seed)
        shape = (len(captions), 2, 1, 3, 16, 16)
        self.frames = torch.randint(256, shape, dtype=torch.uint8, generator=generator)
        rows = [
            SimpleNamespace(video=f"{i}.mp4", start=None, end=None, caption=caption)
            for i, caption in enumerate(captions)
        ]
        self.manifest = SimpleNamespace(rows=rows)

    def __getitem__(self, index):
        return {"frames": self.frames[index], "index": index}


def tiny_model(tokenizer, seed=0, **options):
    torch.manual_seed(seed)
    return SNPForPreTraining(
        SNPConfig(
            vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
            intermediate_size=64, max_position_embeddings=32, image_size=16, clips=2, frames=1,
            logit_scale=True, **options,
        )
    )  # fmt: skip


def test_random_weights_score_chance(captions, tokenizer):
    chance = chance_metrics(CLIPS)
    found = [
        evaluate_retrieval(tiny_model(tokenizer, seed), tokenizer, RandomClips(captions, seed))
        for seed in range(3)
    ]
    for column in ("matching", "reranked"):
        for direction in ("text_to_video", "video_to_text"):
            mean = {
                name: np.mean([run[column][direction][name] for run in found]) for name in chance
            }
            # Three standard errors of 600 queries, each found with the probability of chance.
            assert abs(mean["r10"] - chance["r10"]) < 3 * 100 * (0.05 * 0.95 / 600) ** 0.5
            assert abs(mean["mean_rank"] / chance["mean_rank"] - 1) < 0.15
            assert abs(mean["median_rank"] / chance["median_rank"] - 1) < 0.25


def test_the_model_takes_part_as_it_is(captions, tokenizer):
    model = tiny_model(tokenizer).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    first = run_retrieval(model, tokenizer, RandomClips(captions[:20], 0))
    again = run_retrieval(model, tokenizer, RandomClips(captions[:20], 0), batch_size=3)
    assert model.training
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    torch.testing.assert_close(first.scores, again.scores)
    torch.testing.assert_close(first.reranked.text_to_video, again.reranked.text_to_video)


def test_vectors_and_scores_are_those_of_each_caption_by_itself(tokenizer):
    captions = ["a", "ab abc", "a b c d e f g h i j k l", "ab", "b c d"]
    model = tiny_model(tokenizer, initializer_range=0.5).double().eval()
    texts = encode_texts(model, tokenizer, captions)
    clips = torch.randn(3, 2, 32, generator=torch.Generator().manual_seed(0))
    rows, columns = torch.cartesian_prod(torch.arange(len(captions)), torch.arange(3)).T
    scores = cross_scores(model, texts, EncodedVideos(clips, clips), rows, columns, batch_size=4)
    with torch.no_grad():
        for row, caption in enumerate(captions):
            ids, mask = (torch.tensor(tokenizer(caption)[key])[None]
                         for key in ("input_ids", "attention_mask"))  # fmt: skip
            torch.testing.assert_close(
                texts.pooled[row], model.encode_text(ids, mask).pooled[0].float()
            )
            for column in range(3):
                alone = model.cross_match(ids, mask, clips[column, None].double())
                found = scores[(rows == row) & (columns == column)]
                torch.testing.assert_close(found, alone.float())


def test_a_twin_tower_is_evaluated_by_matching_alone(captions, tokenizer):
    model = tiny_model(
        tokenizer, architecture="twin_tower", tasks=["text_mlm", "gvtm_text_video", "lvwm"]
    )
    found = evaluate_retrieval(model, tokenizer, RandomClips(captions[:10], 0))
    assert list(found) == ["matching", "queries", "chance"]
