"""A short run of `python -m benchmarks.fuzz_requests`, always the same one."""

import pytest

from benchmarks.fuzz_requests import fuzz
from benchmarks.served import Served

pytestmark = pytest.mark.server
COUNT, SEED = 600, 7


def test_bad_requests_are_answered_and_nothing_else_happens(served: Served) -> None:
    fuzzed = fuzz(served, COUNT, SEED)
    assert fuzzed.statuses.total() > COUNT
    assert {200, 400} <= set(fuzzed.statuses)
    assert len(fuzzed.words) > 10, "the requests all fail at one door"
