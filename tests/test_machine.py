"""Cores that a process may use."""

import pytest

from snpkit import machine


@pytest.mark.parametrize(("content", "cores"), [
    ("200000 100000", 2), ("150000 100000", 2), ("max 100000", None), ("", None), ("x y", None)])
def test_a_containers_quota(tmp_path, content, cores):
    file = tmp_path / "cpu.max"
    file.write_text(content)
    assert machine._container_cores(file) == cores
    assert machine._container_cores(tmp_path / "nothing") is None


def test_cores_are_the_smaller_of_affinity_and_quota(monkeypatch):
    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    monkeypatch.setattr(machine, "_container_cores", lambda: 3)
    assert machine.available_cores() == 3
    monkeypatch.setattr(machine, "_container_cores", lambda: 64)
    assert machine.available_cores() == 8
