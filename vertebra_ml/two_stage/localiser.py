"""The two-stage localiser: a CT -> every vertebra's centroid with its name."""

import time
from collections.abc import Container, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np

from vertebra_ml.anatomy import RANK, successors
from vertebra_ml.bounds import check_volume
from vertebra_ml.errors import ModelError
from vertebra_ml.landmarks import Landmarks, ModelIdentity, Prediction
from vertebra_ml.mip import MipPair
from vertebra_ml.two_stage import carried
from vertebra_ml.two_stage.architectures import Reader, Reading, architecture, function
from vertebra_ml.two_stage.contract import Contract
from vertebra_ml.two_stage.edges import margins
from vertebra_ml.volume import Source, Volume

ANOMALIES: Final = {
    "T13": "a thirteenth thoracic vertebra (T13)",
    "L6": "a sixth lumbar vertebra (L6)",
}
DOUBTS_SHOWN: Final = 3
ASIDE: Final = "at a side of the scan, perhaps beyond it, so no place is told"
BEYOND: Final = "outside the scan, so no place is told"
GUESSED: Final = "seen, but named so unsurely that it would be a guess, so no place is told"


class TwoStage:
    """A trained two-stage model. ``locate`` may be called from many threads."""

    def __init__(self, reader: Reader, contract: Contract, identity: ModelIdentity) -> None:
        self._reader = reader
        self._contract = contract
        self._identity = identity

    def __repr__(self) -> str:
        return f"TwoStage({self._contract.settings.architecture})"

    @property
    def kind(self) -> str:
        """The model family."""
        return self._contract.kind

    @property
    def levels(self) -> tuple[str, ...]:
        """The levels it answers, head to foot."""
        return tuple(sorted(self._contract.settings.levels, key=RANK.__getitem__))

    @property
    def identity(self) -> ModelIdentity:
        """Which model this is, as its answers say."""
        return self._identity

    def locate(self, volume: Volume, case: str) -> Prediction:
        """Name the vertebrae of a CT.

        Raises GeometryError where it cannot be straightened, and LimitError where the model's
        limits refuse it.
        """
        start = time.perf_counter()
        beyond = check_volume(volume, case, self._contract.limits)
        reading = self._reader.read(volume)
        least = self._contract.thresholds.get("guess", 0.0)
        told = _told(reading, volume.origin, self.levels, least)
        marks = told.marks
        odd = anomalies(reading.levels, marks.labels)
        warnings = [*beyond, *reading.warnings, *odd, *self._doubts(marks), *told.notes]
        seen = {*marks.labels, *told.untold}
        missing = tuple(level for level in self.levels if level not in seen)
        slices = tuple(volume.origin.slice_at(point) for point in marks.points_mm)
        prediction = Prediction(
            case=case,
            landmarks=marks,
            missing=missing,
            slices=slices,
            model=self._identity,
            seconds=0.0,
            warnings=tuple(warnings),
            absent_scores=tuple(reading.absent.get(level, np.nan) for level in missing),
            untold=told.untold,
        )
        return replace(prediction, seconds=time.perf_counter() - start)

    def locate_mips(self, pair: MipPair, source: Source, case: str) -> Prediction:
        """Refuse: two pictures do not say where a vertebra is in three dimensions."""
        raise ModelError(
            case,
            found="a MIP archive",
            expected="a CT: this model looks at the scan in three dimensions",
            fix="give the CT itself, or ask a slice spotter",
        )

    def _doubts(self, marks: Landmarks) -> list[str]:
        least = self._contract.settings.warning_score
        low = [
            f"{level} {score:.2f}"
            for level, score in zip(marks.labels, marks.scores, strict=True)
            if score < least
        ]
        if not low:
            return []
        more = "" if len(low) <= DOUBTS_SHOWN else f" and {len(low) - DOUBTS_SHOWN} more"
        shown = ", ".join(low[:DOUBTS_SHOWN])
        return [f"scores below {least:.2f} ({shown}{more}), look at the overlay"]


def anomalies(read: Sequence[str], answered: Container[str]) -> list[str]:
    """Return a line for each variant that is answered, and each gap between two that are.

    ``read`` are all names of the column, head to foot: what lies aside and is not answered is no
    gap.
    """
    lines = [f"{said} was found" for level, said in ANOMALIES.items() if level in answered]
    for upper, lower in pairwise(read):
        if upper not in answered or lower not in answered:
            continue
        if (upper, lower) == ("T11", "L1"):
            lines.append("L1 follows T11: T12 is absent or has no ribs")
        elif lower not in successors(upper):
            lines.append(f"a gap: no vertebra was found between {upper} and {lower}")
    return lines


def load(folder: Path, contract: Contract, identity: ModelIdentity) -> TwoStage:
    """Load both networks from ``folder``, ready to answer; ModelError where they do not fit."""
    carried.check(folder, contract.anchor)
    reader = function(architecture(contract.settings.architecture).load)(
        folder, contract.settings, contract.thresholds
    )
    return TwoStage(reader, contract, identity)


@dataclass(frozen=True, eq=False)
class _Told:
    """What of a reading is answered, the scores of names that would be guesses, and why no place
    is told where none is."""

    marks: Landmarks
    untold: dict[str, float]
    notes: list[str]


def _told(reading: Reading, source: Source, levels: tuple[str, ...], guess: float) -> _Told:
    """Part what is read into what is told and what is not; scores below ``guess`` are guesses.

    What stands so near a side that its radius reaches beyond is left out: of vertebrae that a
    side cuts, those alone were taught whose centre is in the picture, so that the place of one
    beyond is drawn in to the side, and its name is a guess. Ends, head and foot, draw nothing in.
    """
    side_mm, end_mm = margins(source, reading.points_mm)
    aside = side_mm < np.nan_to_num(reading.spread_mm)  # without a radius the place decides
    beyond = ~aside & (end_mm < 0)
    guessed = ~aside & ~beyond & (reading.scores < guess)
    asked = np.array([level in levels for level in reading.levels], dtype=bool)
    kept = np.flatnonzero(asked & ~aside & ~beyond & ~guessed)
    names = np.array(reading.levels)
    notes = [
        f"{' '.join(names[left_out])}: {said}"
        for left_out, said in (
            (asked & aside, ASIDE),
            (asked & beyond, BEYOND),
            (asked & guessed, GUESSED),
        )
        if left_out.any()
    ]
    marks = Landmarks(
        tuple(reading.levels[i] for i in kept),
        reading.points_mm[kept],
        reading.scores[kept],
        reading.spread_mm[kept],
    )
    untold = {reading.levels[i]: float(reading.scores[i]) for i in np.flatnonzero(asked & guessed)}
    return _Told(marks, untold, notes)
