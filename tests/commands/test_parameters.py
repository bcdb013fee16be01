"""The true parameter counts, held number by number."""

import pytest

from snpkit.commands.parameters import (
    PAPER_MILLIONS,
    count_components,
    count_parameters,
    parameter_table,
    parameter_text,
)
from snpkit.model.config import SNPConfig
from snpkit.model.pretraining import SNPForPreTraining

SEPARATE_ENCODER = 45_100_800  # 23,837,184 of embeddings + 3 layers of 7,087,872


@pytest.fixture(scope="module")
def rows():
    return {(row.architecture, row.encoder): row for row in parameter_table()}


@pytest.mark.parametrize(
    ("encoder", "backbone", "projection", "total"),
    [
        ("resnet50", 23_508_032, 2048 * 768, 138_764_471),
        ("pvt_v2_b2", 24_849_856, 512 * 768, 138_926_647),
        ("video_swin_s", 49_509_078, 0, 163_192_653),
        ("video_swin_b", 87_638_984, 1024 * 768, 202_108_991),
    ],
)
def test_snp_totals(rows, encoder, backbone, projection, total):
    row = rows["snp", encoder]
    assert row.total == total
    assert row.components["projection"] == projection
    assert row.components["visual encoder"] == backbone


@pytest.mark.parametrize("encoder", ["resnet50", "pvt_v2_b2", "video_swin_s", "video_swin_b"])
def test_the_separate_encoder_is_all_that_three_fusion_adds(rows, encoder):
    snp, three = rows["snp", encoder], rows["three_fusion", encoder]
    assert three.total - snp.total == SEPARATE_ENCODER
    assert three.components["separate encoder"] == SEPARATE_ENCODER


@pytest.mark.parametrize("encoder", ["resnet50", "pvt_v2_b2"])
def test_the_papers_difference_is_ours(encoder):
    difference = PAPER_MILLIONS["three_fusion", encoder] - PAPER_MILLIONS["snp", encoder]
    assert difference == pytest.approx(SEPARATE_ENCODER / 1e6, abs=0.05)


def test_the_shared_bert_is_bert_base(rows):
    assert {row.components["text / shared BERT"] for row in rows.values()} == {109_482_240}


def test_components_add_up_to_a_real_model():
    config = SNPConfig(
        vocab_size=50, hidden_size=8, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=16, architecture="three_fusion", image_size=16, logit_scale=True,
    )  # fmt: skip
    model = SNPForPreTraining(config)
    expected = sum(parameter.numel() for parameter in model.parameters())
    assert sum(count_components(model).values()) == expected


def test_the_table_names_every_row_and_the_paper(rows):
    text = parameter_text(list(rows.values()))
    for row in rows.values():
        assert f"{row.total:,}" in text
    assert "160.4" in text and "206.2" in text


def test_counting_allocates_nothing():
    psutil = pytest.importorskip("psutil")
    before = psutil.Process().memory_info().rss
    row = count_parameters("snp", "video_swin_b")
    grown = psutil.Process().memory_info().rss - before
    assert grown < row.total  # float32 weights would take four bytes each
