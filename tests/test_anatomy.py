"""The list of vertebrae: order, ids and variants as the sources say."""

import pytest

from vertebra_ml.anatomy import (
    GAP_MM,
    LEVEL_OF_VERSE_ID,
    LEVELS,
    RANK,
    USUAL,
    VERSE_ID,
    region,
    successors,
)

# VerSe (osf.io/4skx2): 1-7 C1-C7, 8-19 T1-T12, 20-25 L1-L6, 26 sacrum, 27 coccyx, 28 T13.
VERSE = {1: "C1", 7: "C7", 8: "T1", 19: "T12", 20: "L1", 22: "L3", 24: "L5", 25: "L6", 28: "T13"}


def test_verse_ids_are_those_published() -> None:
    assert {number: LEVEL_OF_VERSE_ID[number] for number in VERSE} == VERSE
    assert sorted(LEVEL_OF_VERSE_ID) == [*range(1, 26), 28]
    assert {LEVEL_OF_VERSE_ID[VERSE_ID[level]] for level in LEVELS} == set(LEVELS)


def test_order_is_head_to_foot_with_the_variants_in_place() -> None:
    assert len(USUAL) == 24
    assert LEVELS[RANK["T12"] : RANK["L1"] + 1] == ("T12", "T13", "L1")
    assert LEVELS[-2:] == ("L5", "L6")


@pytest.mark.parametrize(
    ("level", "below"),
    [("C7", ("T1",)), ("T11", ("T12", "L1")), ("T12", ("T13", "L1")), ("T13", ("L1",)),
     ("L4", ("L5",)), ("L5", ("L6",)), ("L6", ())],
)  # fmt: skip
def test_what_can_follow(level: str, below: tuple[str, ...]) -> None:
    assert successors(level) == below


def test_regions() -> None:
    assert [region(level) for level in ("C1", "T13", "L6")] == ["cervical", "thoracic", "lumbar"]
    with pytest.raises(KeyError):
        region("S1")


def test_gaps_join_neighbours_and_grow_down_the_thorax() -> None:
    assert all(below in successors(above) for above, below in GAP_MM)
    thorax = [GAP_MM[f"T{n}", f"T{n + 1}"][0] for n in range(3, 12)]
    assert thorax == sorted(thorax)
    assert all(10 < mean < 45 and 1 < spread < 4 for mean, spread in GAP_MM.values())
