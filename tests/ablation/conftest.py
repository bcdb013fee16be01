"""Lets this room's tests import ablation_toys; the toy plan carried out, once for all of them."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """All four runs of the toy plan, done once."""
    from ablation_toys import quiet, workplace

    from snpkit.ablation.schedule import jobs_of, run_all

    place = workplace(tmp_path_factory.mktemp("finished"))
    outcome = run_all(place, jobs_of(place.plan), tell=quiet)
    assert (outcome.done, outcome.failed, outcome.interrupted) == (4, {}, False)
    return place
