"""Ranges and exact versions agree, and nothing that the tests install is left open."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import metadata

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from voicecore_tests.distribution import requirements
from voicecore_tests.distribution.requirements import lowest_constraints, pinned, required

INSTALLED = {canonicalize_name(distribution.name) for distribution in metadata.distributions()}


def test_what_is_installed_is_within_the_ranges() -> None:
    """Also in the environment of `make lowest`, where it is the end of each."""
    assert set(required()) <= INSTALLED
    for name, lowest in (required() | required("test")).items():
        if name in INSTALLED:  # of the tests' tools, some may do without some
            assert Version(metadata.version(name)) >= Version(lowest), name


def test_what_make_installs_is_within_the_ranges() -> None:
    """pip would refuse it otherwise, but only on a clean checkout."""
    for name, lowest in (required() | required("test")).items():
        assert Version(pinned()[name]) >= Version(lowest), name


def test_nothing_that_is_installed_has_an_open_version() -> None:
    """Whatever a requirement requires in turn: a clean checkout gets the same versions in a year."""
    assert set(closure()) - set(pinned()) == set()


def closure() -> Iterator[str]:
    """Yield the name of everything that the tests need, as far as this environment has it."""
    waiting = [Requirement(f"{name}[realtime]") for name in required() | required("test")]
    seen: set[str] = set()
    while waiting:
        wanted = waiting.pop()
        if str(wanted) not in seen and canonicalize_name(wanted.name) in INSTALLED:
            seen.add(str(wanted))
            yield canonicalize_name(wanted.name)
            each = map(Requirement, metadata.requires(wanted.name) or ())
            waiting += [found for found in each if _applies(found, wanted.extras)]


def _applies(requirement: Requirement, extras: set[str]) -> bool:
    if requirement.marker is None:
        return True
    return any(requirement.marker.evaluate({"extra": extra}) for extra in ["", *extras])


def test_the_lowest_versions_are_those_of_the_ranges() -> None:
    """Each requirement of voicecore by its lower bound, and the tests' own tools as everywhere."""
    lines = lowest_constraints().splitlines()
    assert {f"{name}=={version}" for name, version in required().items()} <= set(lines)
    assert f"pytest=={pinned()['pytest']}" in lines
    assert len(lines) == len(pinned())


@pytest.mark.parametrize("line", ["trio", "trio==0.27", "trio>=0.27,<1", "trio>0.27"])
def test_a_requirement_without_a_lower_bound_is_found(line: str) -> None:
    """It could not be tested."""
    with pytest.raises(ValueError, match="is not of the form"):
        requirements._read(requirements._RANGE, [line])
