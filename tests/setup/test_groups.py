"""Tests that share what their module made run in one process; otherwise each process would make it too."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(scope="module")
def made_once() -> int:
    return os.getpid()


@pytest.mark.skipif("PYTEST_XDIST_WORKER" not in os.environ, reason="all tests are in one process here")
@pytest.mark.parametrize("_", range(2))
def test_the_tests_of_a_module_are_a_group(request: pytest.FixtureRequest, made_once: int, _: int) -> None:
    assert request.node.nodeid.endswith("@setup-test_groups")
