"""The split: no patient torn, each level in each part, the shares asked for, the seed obeyed."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vertebra_ml.errors import DatasetError
from vertebra_ml.split import PARTS, leaks, part_sizes, split_patients

SHARES = {"train": 0.5, "validation": 0.25, "test": 0.25}
LEVELS = ("T12", "L3")


def _seen(parts: dict[str, str], levels_of: dict[str, set[str]]) -> dict[str, set[str]]:
    return {
        part: set().union(*(levels_of[p] for p, where in parts.items() if where == part))
        for part in PARTS
    }


@pytest.mark.parametrize(
    ("patients", "shares", "expected"),
    [
        (8, (0.5, 0.25, 0.25), (4, 2, 2)),
        (9, (0.5, 0.25, 0.25), (5, 2, 2)),  # 4.5, 2.25, 2.25: the largest remainder takes it
        (10, (0.5, 0.25, 0.25), (5, 2, 3)),  # 2.5 and 2.5: equal remainders go by name
        (3, (0.9, 0.05, 0.05), (1, 1, 1)),  # no part stays empty
        (7, (0.98, 0.01, 0.01), (5, 1, 1)),
    ],
)
def test_sizes(
    patients: int, shares: tuple[float, float, float], expected: tuple[int, int, int]
) -> None:
    assert part_sizes(patients, dict(zip(PARTS, shares, strict=True))) == dict(
        zip(PARTS, expected, strict=True)
    )


@pytest.mark.parametrize(("patients", "train"), [(2, 0.5), (9, 0.6)])
def test_impossible_sizes_are_refused(patients: int, train: float) -> None:
    with pytest.raises(DatasetError, match=f"{patients} patients.*sum to 1"):
        part_sizes(patients, SHARES | {"train": train})


@settings(derandomize=True, max_examples=60)
@given(
    seed=st.integers(0, 2**32),
    rare=st.integers(3, 6),
    others=st.lists(st.sets(st.sampled_from(["T12", "L3", "C4", "T1"])), min_size=3, max_size=30),
)
def test_each_part_shows_each_level(seed: int, rare: int, others: list[set[str]]) -> None:
    levels_of = {f"rare{i}": {"T12", "L3"} for i in range(rare)}
    levels_of |= {f"other{i}": seen for i, seen in enumerate(others)}
    parts = split_patients(levels_of, SHARES, LEVELS, seed)
    assert set(parts) == set(levels_of)
    sizes = part_sizes(len(levels_of), SHARES)
    assert {part: list(parts.values()).count(part) for part in PARTS} == sizes
    assert all(set(LEVELS) <= seen for seen in _seen(parts, levels_of).values())


def test_tight_split_is_found() -> None:
    # Parts of one patient each must show both levels: only these three can carry them.
    levels_of = {"a": {"T12", "L3"}, "b": {"T12", "L3"}, "c": {"T12", "L3"}, "d": set(), "e": set()}
    shares = {"train": 0.6, "validation": 0.2, "test": 0.2}
    for seed in range(20):
        parts = split_patients(levels_of, shares, LEVELS, seed)
        assert {parts["a"], parts["b"], parts["c"]} == set(PARTS)


def test_seed_decides_and_order_of_patients_does_not() -> None:
    levels_of = {f"p{i:02d}": {"T12", "L3"} for i in range(20)}
    backwards = dict(reversed(levels_of.items()))
    first = split_patients(levels_of, SHARES, LEVELS, 1)
    assert split_patients(backwards, SHARES, LEVELS, 1) == first
    assert split_patients(levels_of, SHARES, LEVELS, 2) != first


def test_missing_level_is_named() -> None:
    levels_of = {f"p{i}": {"T12"} for i in range(8)} | {"q": {"L3"}, "r": {"L3"}}
    with pytest.raises(DatasetError, match=r"L3 in 2 of 10 patients.*split\.levels"):
        split_patients(levels_of, SHARES, LEVELS, 0)


def test_leaks_are_named() -> None:
    rows = [("a", "train"), ("b", "test"), ("a", "test"), ("b", "test")]
    assert leaks(rows) == {"a": ("test", "train")}


@settings(derandomize=True, max_examples=60)
@given(
    seed=st.integers(0, 2**32),
    first=st.integers(6, 20),
    more=st.integers(0, 20),
    gone=st.sets(st.integers(0, 19), max_size=3),
)
def test_who_has_a_part_keeps_it(seed: int, first: int, more: int, gone: set[int]) -> None:
    levels_of = {f"p{i}": {"T12", "L3"} for i in range(first)}
    before = split_patients(levels_of, SHARES, LEVELS, seed)
    later = {p: seen for p, seen in levels_of.items() if int(p[1:]) not in gone}
    later |= {f"new{i}": {"T12", "L3"} for i in range(max(more, 2 * len(gone)))}
    after = split_patients(later, SHARES, LEVELS, seed, before)
    assert set(after) == set(later)
    assert {p: after[p] for p in before.keys() & later.keys()} == {
        p: part for p, part in before.items() if p in later
    }
    assert all(set(LEVELS) <= seen for seen in _seen(after, later).values())
    if not gone:  # shares are met but for what earlier rounding leaves
        sizes = part_sizes(len(later), SHARES)
        assert all(abs(list(after.values()).count(p) - n) <= 1 for p, n in sizes.items())
    again = split_patients(dict(reversed(later.items())), SHARES, LEVELS, seed, before)
    assert again == after


def test_a_new_patient_goes_where_a_level_is_lacking() -> None:
    earlier = {"a": "train", "b": "validation", "c": "test"}
    levels_of = {"a": {"T12", "L3"}, "b": {"T12"}, "c": {"T12", "L3"}, "d": {"L3"}, "e": set()}
    after = split_patients(levels_of, SHARES, LEVELS, 1, earlier)
    assert after == earlier | {"d": "validation", "e": "train"}
    del levels_of["d"]
    with pytest.raises(DatasetError, match=r"none left for part validation.*split\.made\.json"):
        split_patients(levels_of, SHARES, LEVELS, 1, earlier)


def test_a_split_of_others_is_no_earlier_split() -> None:
    levels_of = {name: {"T12", "L3"} for name in "abcdefgh"}
    fresh = split_patients(levels_of, SHARES, LEVELS, 1)
    assert split_patients(levels_of, SHARES, LEVELS, 1, {"x": "test"}) == fresh
