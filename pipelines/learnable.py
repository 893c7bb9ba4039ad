"""What a two-stage model can learn from: each labelled CT, how it is opened, and its key."""

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from pipelines.cases import cases_by_id
from pipelines.fingerprint import Digests
from pipelines.inputs import PARTS
from pipelines.people import Person, people_of
from pipelines.products import item_key, product_key
from vertebra_ml.case import Case
from vertebra_ml.config import Params
from vertebra_ml.landmarks import Landmarks
from vertebra_ml.phantom.cohort import Phantom
from vertebra_ml.volume import Volume

PHANTOMS = "vertebra_ml.phantom"
SCANS = "vertebra_ml.readers"
PACKED_BY = ("pipelines.compact",)


@dataclass(frozen=True)
class Learnable:
    """One CT to learn from; ``open`` gives it with its landmarks, and can cross processes.

    ``seed`` is that of every draw in cutting it, ``key`` a digest of all that its samples are
    made of.
    """

    case: str
    patient: str
    group: str
    part: str
    kind: str
    seed: int
    key: str
    open: Callable[[], tuple[Volume, Landmarks]]


def learnables(params: Params, split: pd.DataFrame, cutter: str) -> list[Learnable]:
    """Return every phantom of ``samples.phantoms``, then every labelled CT learnt from or tuned on.

    ``split`` is the table of the stage of that name, ``cutter`` the module that cuts.
    """
    settings = {"seed": params.seed}
    key = phantom_key(params, cutter)
    phantoms = [of_person(p, key) for p in people_of(params, params.samples.phantoms)]
    labelled = split[split["part"].isin(PARTS) & split["labels"].notna()]
    parts = dict(zip(labelled["case"], labelled["part"], strict=True))
    scans = [case for case in cases_by_id(params, parts) if case.open_volume is not None]
    key = product_key((cutter, SCANS, *PACKED_BY), settings)
    with Digests() as digests:
        keys = {case.id: item_key(key, digests.of_case(case)) for case in scans}
    return phantoms + [_of_case(case, parts[case.id], params.seed, keys[case.id]) for case in scans]


def with_points(marks: Landmarks) -> Landmarks:
    """Return the landmarks that have x, y and z: a height alone cannot be cut out."""
    whole = np.isfinite(marks.points_mm).all(axis=1)
    return marks.select([label for label, kept in zip(marks.labels, whole, strict=True) if kept])


def phantom_key(params: Params, cutter: str) -> str:
    """Return the key of all samples of phantoms that the module ``cutter`` cuts."""
    return product_key((cutter, PHANTOMS, *PACKED_BY), {"seed": params.seed})


def of_person(person: Person, key: str, made: Phantom | None = None) -> Learnable:
    """Return a phantom to learn from, drawn when it is opened, or ``made`` already."""
    name = person.name
    return Learnable(
        name, name, "phantom", person.part, person.kind, person.seed, key,
        partial(_draw, person, made),
    )  # fmt: skip


def _of_case(case: Case, part: str, seed: int, key: str) -> Learnable:
    own = zlib.crc32(f"{seed} {case.id}".encode())  # the same whichever scans lie beside it
    return Learnable(
        case.id, case.patient, case.layout, part, "scan", own, key, partial(_read, case)
    )


def _draw(person: Person, made: Phantom | None) -> tuple[Volume, Landmarks]:
    made = made or person.draw()
    return made.volume, made.truth.landmarks


def _read(case: Case) -> tuple[Volume, Landmarks]:
    """Open a scan with its landmarks; without one that has all coordinates, it is not opened."""
    assert case.open_volume is not None  # chosen so
    truth = case.truth()
    marks = with_points(truth.landmarks) if truth else Landmarks.empty()
    if not len(marks):
        return Volume(np.zeros((1, 1, 1), dtype=np.int16), np.eye(4)), marks
    return case.open_volume(), marks
