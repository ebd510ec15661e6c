"""Parameters of long statistical tests: the usual cases run always, the others with `make test-all`."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import pytest


def others_are_slow(cases: Iterable[Any], usual: Collection[Any]) -> list[Any]:
    """All cases, in their order, those marked slow that are not among the usual ones."""
    cases = list(cases)
    assert all(case in cases for case in usual), f"no such cases: {[case for case in usual if case not in cases]}"
    return [case if case in usual else pytest.param(case, marks=pytest.mark.slow) for case in cases]
