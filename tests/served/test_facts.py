"""Facts of served scans: right, there once the image is open, and never in the way."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from tests.layouts import Grid, make_scan
from vertebra_ml.case import Case
from vertebra_ml.limits import describe
from vertebra_ml.prepare import project
from vertebra_ml.served.facts import NUMBERS, facts_of, watched
from vertebra_ml.volume import Volume

SHARED = (*NUMBERS, "orientation")


def test_facts_are_those_of_the_gate() -> None:
    scan = make_scan(Grid("LPS", (1.9, 2.3, 3.1), (7.0, -4.0, 11.0)))
    assert {name: facts_of(scan)[name] for name in SHARED} == {
        name: describe("a", scan)[name] for name in SHARED
    }


def test_a_watched_case_tells_when_it_is_opened() -> None:
    scan = make_scan()
    case, facts = watched(Case("a", "a", Path("a"), "scan", lambda: scan))
    assert facts == {}
    assert case.open_volume is not None
    assert case.open_volume() is scan
    assert facts["form"] == "ct"
    pair = project(scan, spacing_mm=1.0, body_threshold_hu=-300, slab_mm=60.0)
    mips = Case("a", "a", Path("a"), "scan", open_mips=lambda: (pair, scan.origin))
    case, facts = watched(mips)
    assert case.open_mips is not None
    assert case.open_mips()[0] is pair
    assert (facts["form"], facts["spacing_largest_mm"]) == ("mips", 4.0)
    assert case.open_volume is None


def test_odd_values_cost_no_memory_and_no_answer() -> None:
    scan = make_scan(Grid(dtype=np.float32))
    wild = scan.array.copy()
    wild[0, 0, 0] = 3e38
    assert facts_of(Volume(wild, scan.affine))["hu_largest"] == round(float(np.float32(3e38)))
    broken = replace(Case("a", "a", Path("a"), "scan"), open_volume=lambda: None)  # type: ignore[arg-type, return-value]
    case, facts = watched(broken)
    assert case.open_volume is not None
    case.open_volume()
    assert facts == {}
