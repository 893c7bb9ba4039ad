"""Maximum intensity projections of a CT, frontal and sagittal, with millimetres in both axes.

Images are (row, col). Row 0 is the head. Frontal: column 0 is the patient's right, as in a
radiograph. Sagittal: column 0 is the patient's front. So world coordinates fall along both axes:
``mm = origin_mm - index * spacing_mm``.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vertebra_ml.errors import GeometryError
from vertebra_ml.volume import AIR_HU

View = Literal["frontal", "sagittal"]
Image = NDArray[np.int16]


@dataclass(frozen=True, eq=False, repr=False)
class Mip:
    """One projection.

    Parameters
    ----------
    image : (row, col) int16 HU; ``AIR_HU`` where no body was crossed.
    spacing_mm : (row, col) distances between pixel centres, both positive.
    origin_mm : world z of row 0, and world x (frontal) or y (sagittal) of column 0; RAS+ mm.
    view : ``frontal`` or ``sagittal``.

    Raises GeometryError for another dtype, another number of axes, or bad spacing or origin.
    """

    image: Image
    spacing_mm: tuple[float, float]
    origin_mm: tuple[float, float]
    view: View

    def __post_init__(self) -> None:
        fault = self._fault()
        if fault:
            raise GeometryError(
                f"{self.view} MIP",
                found=fault,
                expected="an int16 HU image (row, col), finite origin and positive spacing in mm",
                fix="project the scan again with `vertebra-ml mips`",
            )

    def _fault(self) -> str:
        if self.image.ndim != 2 or min(self.image.shape) < 1 or self.image.dtype != np.int16:
            return f"an image of shape {self.image.shape} and type {self.image.dtype}"
        if not np.isfinite([*self.spacing_mm, *self.origin_mm]).all() or min(self.spacing_mm) <= 0:
            return f"spacing {self.spacing_mm} and origin {self.origin_mm}"
        return "" if self.view in ("frontal", "sagittal") else f"a view named {self.view!r}"

    def __repr__(self) -> str:
        rows, columns = self.image.shape
        return f"Mip({self.view}, {rows} rows x {columns} columns, spacing {self.spacing_mm} mm)"

    @property
    def rows(self) -> int:
        """Number of rows."""
        return int(self.image.shape[0])

    @property
    def columns(self) -> int:
        """Number of columns."""
        return int(self.image.shape[1])

    def z_of_row(self, row: Any) -> Any:
        """World z (mm) of a fractional row, scalar or array."""
        return self.origin_mm[0] - np.asarray(row, dtype=np.float64) * self.spacing_mm[0]

    def row_of_z(self, z_mm: Any) -> Any:
        """Fractional row of a world z (mm), scalar or array."""
        return (self.origin_mm[0] - np.asarray(z_mm, dtype=np.float64)) / self.spacing_mm[0]

    def across_of_column(self, column: Any) -> Any:
        """World x (frontal) or y (sagittal), mm, of a fractional column."""
        return self.origin_mm[1] - np.asarray(column, dtype=np.float64) * self.spacing_mm[1]

    def column_of_across(self, across_mm: Any) -> Any:
        """Fractional column of a world x (frontal) or y (sagittal), mm."""
        return (self.origin_mm[1] - np.asarray(across_mm, dtype=np.float64)) / self.spacing_mm[1]


@dataclass(frozen=True, eq=False)
class MipPair:
    """Frontal and sagittal projections of one scan on the same rows.

    ``spine_mm`` is the world (x, y) at which the column was taken to run (x: centre of the sagittal
    slab); the exit uses it to turn a height into a slice of a tilted grid.

    Raises GeometryError where the rows of the two differ, or the spine is nowhere.
    """

    frontal: Mip
    sagittal: Mip
    spine_mm: tuple[float, float]

    def __post_init__(self) -> None:
        f, s = self.frontal, self.sagittal
        same = f.rows == s.rows and np.allclose(
            [f.spacing_mm[0], f.origin_mm[0]], [s.spacing_mm[0], s.origin_mm[0]]
        )
        if not same or (f.view, s.view) != ("frontal", "sagittal"):
            raise GeometryError(
                "MIP pair",
                found=f"{f!r} at {f.origin_mm} and {s!r} at {s.origin_mm}",
                expected="a frontal and a sagittal view on the same rows",
                fix="project the scan again with `vertebra-ml mips`",
            )
        if len(self.spine_mm) != 2 or not np.isfinite(self.spine_mm).all():
            raise GeometryError(
                "MIP pair",
                found=f"a spine at {self.spine_mm}",
                expected="finite world x and y, mm",
                fix="project the scan again with `vertebra-ml mips`",
            )

    @property
    def rows(self) -> int:
        """Number of rows of both views."""
        return self.frontal.rows

    @property
    def is_air(self) -> bool:
        """Whether neither view crossed a body."""
        return bool(max(self.frontal.image.max(), self.sagittal.image.max()) <= AIR_HU)
