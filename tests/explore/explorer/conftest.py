"""A small model that searches pictures of noise, for explorers without a browser."""

import pytest

from tests.explore.explaining import noise_picture, small_pipeline


@pytest.fixture(scope="package")
def pipeline():
    return small_pipeline()


@pytest.fixture(scope="package")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    for seed, name in enumerate(("a", "b", "<img src=x>", "d")):
        noise_picture(seed, 60 + 20 * seed).save(folder / f"{name}.png")
    (folder / "broken.mp4").write_bytes(b"no video")
    return folder


@pytest.fixture(autouse=True)
def no_cache(monkeypatch, tmp_path):
    """Indices of the clips stay in the test's own folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def ask(explorer, number, **question):
    """What a browser that asks gets back."""
    answers = []
    explorer.send = lambda content, *_: answers.append(content)
    explorer._handle_custom_msg({"id": number, **question}, [])
    (answer,) = answers
    assert answer.pop("id") == number
    return answer
