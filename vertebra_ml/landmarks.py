"""Named points in world millimetres, the truth of a case, and the answer of a model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

from vertebra_ml.anatomy import RANK
from vertebra_ml.errors import DatasetError

Points = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Landmarks:
    """Vertebral body centres, sorted head to foot.

    Parameters
    ----------
    labels : level names, each at most once; given in any order, kept head to foot.
    points_mm : (n, 3), RAS+ world mm. x and y may be NaN together: "height only". z is finite.
    scores : (n,), 0..1, how sure the source is; NaN where it does not say. Default all NaN.
    spread_mm : (n,), radius in mm that holds the truth nine times in ten; NaN where unknown.

    Raises DatasetError for an unknown or repeated level, a wrong shape, or a non-finite height.
    """

    labels: tuple[str, ...]
    points_mm: Points
    scores: Points = field(default_factory=lambda: np.empty(0))
    spread_mm: Points = field(default_factory=lambda: np.empty(0))

    def __post_init__(self) -> None:
        labels = tuple(self.labels)
        _check_labels(labels)
        order = sorted(range(len(labels)), key=lambda i: RANK[labels[i]])
        points = _shaped("points_mm", self.points_mm, (len(labels), 3))
        _check_points(labels, points)
        put = object.__setattr__
        put(self, "labels", tuple(labels[i] for i in order))
        put(self, "points_mm", _frozen(points[order]))
        for name in ("scores", "spread_mm"):
            values = np.asarray(getattr(self, name), dtype=np.float64)
            values = np.full(len(labels), np.nan) if values.size == 0 else values
            put(self, name, _frozen(_shaped(name, values, (len(labels),))[order]))

    @classmethod
    def of(cls, points_mm: Mapping[str, Sequence[float] | Points]) -> Self:
        """Build from ``{"L3": (x, y, z), ...}``, RAS+ mm."""
        values = np.array([np.asarray(p, dtype=np.float64) for p in points_mm.values()])
        return cls(tuple(points_mm), values.reshape(len(points_mm), -1) if points_mm else values)

    @classmethod
    def empty(cls) -> Self:
        """Build one that holds no level."""
        return cls((), np.empty((0, 3)))

    def __len__(self) -> int:
        return len(self.labels)

    def __contains__(self, label: object) -> bool:
        return label in self.labels

    def __getitem__(self, label: str) -> Points:
        """Return the (3,) RAS+ mm point of ``label``; KeyError where it is not held."""
        if label not in self.labels:
            raise KeyError(label)
        point: Points = self.points_mm[self.labels.index(label)]
        return point

    def __repr__(self) -> str:
        return f"Landmarks({len(self)}: {' '.join(self.labels) or 'none'})"

    def select(self, levels: Sequence[str]) -> Self:
        """Return those of ``levels`` that are held."""
        keep = [i for i, label in enumerate(self.labels) if label in set(levels)]
        return type(self)(
            tuple(self.labels[i] for i in keep),
            self.points_mm[keep],
            self.scores[keep],
            self.spread_mm[keep],
        )


@dataclass(frozen=True, eq=False)
class Truth:
    """What is known of a case: labelled points, and every level wholly or partly in the scan.

    A level in ``visible`` without a landmark is present but unlabelled: an answer there is neither
    right nor wrong. A level in neither is absent.
    """

    landmarks: Landmarks
    visible: tuple[str, ...]

    def __post_init__(self) -> None:
        _check_labels(tuple(self.visible))
        held = set(self.visible) | set(self.landmarks.labels)
        object.__setattr__(self, "visible", tuple(sorted(held, key=RANK.__getitem__)))


@dataclass(frozen=True)
class ModelIdentity:
    """Which model answered: everything needed to find it again years later."""

    kind: str
    version: str = ""
    run: str = ""
    data_hash: str = ""


@dataclass(frozen=True)
class SliceReference:
    """One slice of the source file: ``index`` from 0 in the order of the file.

    ``instance_number`` and ``sop_instance_uid`` are None where the source is not DICOM.
    """

    index: int
    instance_number: int | None = None
    sop_instance_uid: str | None = None


@dataclass(frozen=True, eq=False)
class Prediction:
    """The answer of one model for one case.

    Parameters
    ----------
    case : the case's id.
    landmarks : the levels found.
    missing : the levels asked for and judged not to be in this scan.
    slices : the source slice of each landmark, in the order of ``landmarks``.
    model : who answered.
    seconds : time from volume in memory to answer.
    warnings : one line each.
    absent_scores : score of "not in this scan" for each of ``missing``, or none at all.
    untold : the levels that seem to be in this scan, but whose best place would be a guess, so that
        none is given, with the score of that place.

    Raises DatasetError where these do not fit each other.
    """

    case: str
    landmarks: Landmarks
    missing: tuple[str, ...]
    slices: tuple[SliceReference | None, ...]
    model: ModelIdentity
    seconds: float
    warnings: tuple[str, ...] = ()
    absent_scores: tuple[float, ...] = ()
    untold: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_labels((*self.landmarks.labels, *self.missing, *self.untold))
        fits = len(self.absent_scores) in (0, len(self.missing))
        if not fits or len(self.slices) != len(self.landmarks):
            raise DatasetError(
                self.case,
                found=f"{len(self.slices)} slices for {len(self.landmarks)} landmarks, "
                f"{len(self.absent_scores)} scores for {len(self.missing)} missing levels",
                expected="one each",
                fix="this is a fault of the model family; report it",
            )

    def rows(self) -> list[dict[str, object]]:
        """Return one dict a level in the columns of ``slices.csv``, head to foot.

        Coordinates are RAS+ mm; empty (None) where the level is not found or not known. ``found``
        is None of a level that is not told.
        """
        found = {label: self._found_row(i) for i, label in enumerate(self.landmarks.labels)}
        scores = dict(zip(self.missing, self.absent_scores, strict=False))
        absent = {
            label: self._row(label, score=_number(scores.get(label, np.nan)))
            for label in self.missing
        }
        untold = {
            label: self._row(label, score=_number(score)) | {"found": None}
            for label, score in self.untold.items()
        }
        every = found | absent | untold
        return [every[label] for label in sorted(every, key=RANK.__getitem__)]

    def _found_row(self, i: int) -> dict[str, object]:
        marks, place = self.landmarks, self.slices[i]
        x, y, z = (_number(v) for v in marks.points_mm[i])
        row = self._row(marks.labels[i], score=_number(marks.scores[i]))
        row.update(found=True, x_mm=x, y_mm=y, z_mm=z, spread_mm=_number(marks.spread_mm[i]))
        if place is not None:
            row.update(
                slice_index=place.index,
                slice_number=place.index + 1,
                instance_number=place.instance_number,
                sop_instance_uid=place.sop_instance_uid,
            )
        return row

    def _row(self, level: str, score: float | None) -> dict[str, object]:
        row: dict[str, object] = dict.fromkeys(ROW_COLUMNS)
        row.update(case=self.case, level=level, found=False, score=score)
        row.update(model=self.model.kind, model_version=self.model.version)
        row["warning"] = "; ".join(self.warnings)
        return row


ROW_COLUMNS = (
    "case", "level", "found", "x_mm", "y_mm", "z_mm", "slice_index", "slice_number",
    "instance_number", "sop_instance_uid", "score", "spread_mm", "model", "model_version",
    "warning",
)  # fmt: skip
"""Columns of ``slices.csv`` and of a REST answer."""

ROUND_DIGITS = 3
"""Decimals of mm and scores in rows, so that files, CLI and REST agree to the digit."""


def _number(value: float) -> float | None:
    # Adding zero turns -0.0, which a reader would stumble over, into 0.0.
    return round(float(value), ROUND_DIGITS) + 0.0 if np.isfinite(value) else None


def _frozen(values: Points) -> Points:
    copy = np.array(values, dtype=np.float64)
    copy.flags.writeable = False
    return copy


def _shaped(name: str, values: object, shape: tuple[int, ...]) -> Points:
    array = np.asarray(values, dtype=np.float64)
    if array.shape != shape and not (array.size == 0 and shape[0] == 0):
        raise DatasetError(
            "landmarks",
            found=f"{name} of shape {array.shape}",
            expected=f"{shape}",
            fix="give one entry a label",
        )
    return array.reshape(shape)


def _check_labels(labels: tuple[str, ...]) -> None:
    unknown = [label for label in labels if label not in RANK]
    repeated = sorted({label for label in labels if labels.count(label) > 1})
    if unknown or repeated:
        raise DatasetError(
            "landmarks",
            found=f"unknown levels {unknown}" if unknown else f"levels given twice {repeated}",
            expected="names C1..C7, T1..T13, L1..L6, each at most once",
            fix="correct the names in the label file",
        )


def _check_points(labels: tuple[str, ...], points: Points) -> None:
    for label, (x, y, z) in zip(labels, points, strict=True):
        height_only = np.isnan(x) and np.isnan(y)
        if not np.isfinite(z) or not (height_only or (np.isfinite(x) and np.isfinite(y))):
            raise DatasetError(
                "landmarks",
                found=f"{label} at ({x}, {y}, {z})",
                expected="finite mm, or x and y both NaN for a height alone",
                fix="correct the point",
            )
