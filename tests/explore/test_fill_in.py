"""Guesses for hidden words equal a forward pass by hand, one caption at a time."""

import pytest
import torch

from snpkit.evaluation.encoding import encode_one, evaluating
from snpkit.explore.fill_in import fill_in
from snpkit.language.tokenizer import encode_captions
from tests.explore.explaining import noise, small_pipeline

CAPTION = "a red kites falls"  # "kites" is two tokens


@pytest.mark.parametrize("architecture", ["snp", "twin_tower"])
def test_guesses_are_those_of_one_masked_caption_at_a_time(architecture):
    tasks = {"tasks": ["text_mlm", "gvtm_text_video"]} if architecture == "twin_tower" else {}
    pipeline = small_pipeline(architecture=architecture, **tasks)
    model, tokenizer = pipeline.model, pipeline.tokenizer
    found = fill_in(pipeline, CAPTION, noise())
    batch = encode_captions(tokenizer, [CAPTION])
    ids, mask = batch.input_ids, batch.attention_mask
    assert len(found) == 4
    with evaluating(model), torch.no_grad():
        clips = encode_one(model, noise()).clip_tokens
        for place, both in enumerate(found):
            own = batch.word_ids[0] == place
            first = int(own.long().argmax())
            hidden = ids.masked_fill(own, tokenizer.mask_token_id)
            tokens = {"alone": model.network.text_pass(hidden, mask).tokens}
            if architecture == "snp":
                tokens["with_video"] = model.network.cross_modal_pass(hidden, mask, clips).text
            else:
                assert both.with_video is None
            heads = {"alone": "text_mlm_head", "with_video": "cross_mlm_head"}
            for name, vectors in tokens.items():
                head = getattr(model, heads[name])
                chances = head(vectors[0, first], model.word_embeddings).softmax(-1)
                guesses = getattr(both, name)
                assert len(guesses) == 5
                for guess in guesses:
                    token = tokenizer.convert_tokens_to_ids(guess.word)
                    assert guess.probability == pytest.approx(chances[token].item(), rel=1e-4)
                    assert guess.word[0].isalnum() and not guess.word.startswith("##")
                falling = [guess.probability for guess in guesses]
                assert falling == sorted(falling, reverse=True)


def test_scores_are_those_of_the_caption_with_the_guess():
    pipeline = small_pipeline()
    for place, both in enumerate(fill_in(pipeline, "a red kite falls", noise())):
        for guess in (*both.alone, *both.with_video):
            words = ["a", "red", "kite", "falls"]
            words[place] = guess.word
            score = pipeline.explain(" ".join(words), noise(), guesses=0).score
            assert guess.score == pytest.approx(score, abs=1e-4)
