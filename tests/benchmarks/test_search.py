"""The benchmark of searching compares ways that find the same videos."""

import pytest

from tests.benchmarks.search import make_vectors, subjects


@pytest.mark.parametrize("clips", [10, 2000])
def test_the_exact_ways_find_the_same_videos(clips):
    videos, queries = make_vectors(clips, 32, 5)
    ways = subjects(videos, approximate=False)
    assert {"snpkit", "numpy"} <= ways.keys()
    for query in queries:
        assert ways["snpkit"](query) == ways["numpy"](query)
        if "faiss flat" in ways:
            assert ways["faiss flat"](query) == ways["snpkit"](query)
