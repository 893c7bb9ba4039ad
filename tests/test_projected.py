from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.layouts import TRUTH, make_scan
from tests.models.toys import pair_and_truth, source_of
from vertebra_ml.case import Case
from vertebra_ml.errors import DatasetError
from vertebra_ml.mip import Mip, MipPair
from vertebra_ml.prepare import project
from vertebra_ml.projected import project_case, respaced
from vertebra_ml.volume import AIR_HU

HOW: dict[str, Any] = {"spacing_mm": 1.0, "body_threshold_hu": -300, "slab_mm": 60.0}


def case(**openers: Any) -> Case:
    return Case("a", "p", Path("a.npz"), "sarcopenia", **openers)


def test_a_scan_is_projected() -> None:
    volume = make_scan()
    entry = project_case(case(open_volume=lambda: volume, open_truth=lambda: TRUTH), HOW)
    assert (entry.case, entry.patient, entry.group) == ("a", "p", "sarcopenia")
    assert np.array_equal(entry.pair.frontal.image, project(volume, **HOW).frontal.image)
    assert entry.truth is TRUTH


def test_mips_pass_through() -> None:
    pair, truth = pair_and_truth(1)
    opener = partial(lambda: (pair, source_of(pair)))
    entry = project_case(case(open_mips=opener, open_truth=lambda: truth), HOW)
    assert entry.pair.frontal is pair.frontal
    assert entry.pair.sagittal is pair.sagittal
    assert (entry.pair.spine_mm, entry.truth) == (pair.spine_mm, truth)
    coarse = project_case(case(open_mips=opener), HOW | {"spacing_mm": 2.0})
    assert coarse.pair.frontal.spacing_mm == coarse.pair.sagittal.spacing_mm == (2.0, 2.0)
    assert coarse.truth is None


def test_a_case_without_image_is_refused() -> None:
    with pytest.raises(DatasetError, match="a case without image"):
        project_case(case(), HOW)


@settings(max_examples=60, derandomize=True)
@given(
    rows=st.integers(40, 90), columns=st.integers(40, 90), spacing=st.floats(0.4, 3),
    steps=st.tuples(st.floats(0.5, 2.5), st.floats(0.5, 2.5)),
    place=st.tuples(st.floats(0.3, 0.7), st.floats(0.3, 0.7)),
)  # fmt: skip
def test_what_is_seen_stays_where_it_is(
    rows: int, columns: int, spacing: float, steps: tuple[float, float], place: tuple[float, float]
) -> None:
    image = np.full((rows, columns), AIR_HU, dtype=np.int16)
    r, c = round(place[0] * rows), round(place[1] * columns)
    image[r - 6 : r + 7, c - 6 : c + 7] = 3000
    views = [
        Mip(image, steps, (12.5, -7.25), "frontal"), Mip(image, steps, (12.5, 30.0), "sagittal"),
    ]  # fmt: skip
    pair = respaced(MipPair(views[0], views[1], (1.0, 2.0)), spacing_mm=spacing)
    for new, old in ((pair.frontal, views[0]), (pair.sagittal, views[1])):
        assert new.spacing_mm == (spacing, spacing)
        assert new.image.dtype == np.int16
        # Centre and mass of what is bright, in mm, and the faces of the picture.
        weight = new.image.astype(np.float64) - AIR_HU
        z = (new.z_of_row(np.arange(new.rows)) * weight.sum(axis=1)).sum() / weight.sum()
        across = new.across_of_column(np.arange(new.columns))
        x = (across * weight.sum(axis=0)).sum() / weight.sum()
        assert z == pytest.approx(old.z_of_row(r), abs=spacing / 10)
        assert x == pytest.approx(old.across_of_column(c), abs=spacing / 10)
        mass = (image.astype(np.float64) - AIR_HU).sum() * steps[0] * steps[1]
        assert weight.sum() * spacing**2 == pytest.approx(mass, rel=1e-3)
        assert new.z_of_row(-0.5) == pytest.approx(old.z_of_row(-0.5))
        assert abs(new.rows * spacing - old.rows * steps[0]) <= spacing / 2 + 1e-9


def test_air_stays_air() -> None:
    image = np.full((31, 17), AIR_HU, dtype=np.int16)
    views = [Mip(image, (0.7, 1.3), (0.0, 0.0), view) for view in ("frontal", "sagittal")]
    assert respaced(MipPair(views[0], views[1], (0.0, 0.0)), spacing_mm=1.1).is_air
