"""A small untrained model and a shipped clip for it, so that explorers can be asked quickly."""

import pytest

from snpkit.explore.widgets.significance import SignificanceExplorer
from tests.explore.explaining import small_pipeline

CLIP = "generated/test-000008.mp4"
OTHER = "real/tree-hand.mp4"


@pytest.fixture(scope="package")
def small():
    return small_pipeline()


@pytest.fixture
def explorer(small):
    return SignificanceExplorer(small, "a red kite falls over the beach", CLIP)
