"""One answered case and what its files are made from."""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from vertebra_ml import plots
from vertebra_ml.agreement import subject
from vertebra_ml.landmarks import Points, Prediction, SliceReference
from vertebra_ml.mip import MipPair
from vertebra_ml.outputs.axial import cut
from vertebra_ml.prepare import project
from vertebra_ml.volume import Source, Volume

PICTURE_MM, PICTURE_BODY_HU, PICTURE_SLAB_MM = 1.0, -300, 60.0
"""How a CT is projected to be looked at; what a model reads is set in its own folder."""

MIDDLE: Final = "x and y are the middle of the spine, not an answer: this model tells heights alone"

Image = Volume | tuple[MipPair, Source]


@dataclass(frozen=True, eq=False)
class Answer:
    """A prediction with the image it was made from; what is computed is computed once."""

    prediction: Prediction
    image: Image

    @property
    def case(self) -> str:
        """The case's id."""
        return self.prediction.case

    @property
    def volume(self) -> Volume | None:
        """The CT; None where the case is a MIP archive."""
        return self.image if isinstance(self.image, Volume) else None

    @property
    def source(self) -> Source:
        """The grid of the scan's own file."""
        return self.image.origin if isinstance(self.image, Volume) else self.image[1]

    @cached_property
    def pair(self) -> MipPair:
        """The projections to look at. Raises GeometryError where the CT cannot be projected."""
        if not isinstance(self.image, Volume):
            return self.image[0]
        return project(
            self.image,
            spacing_mm=PICTURE_MM,
            body_threshold_hu=PICTURE_BODY_HU,
            slab_mm=PICTURE_SLAB_MM,
        )

    @property
    def heights_only(self) -> tuple[bool, ...]:
        """Whether each landmark has a height alone."""
        return tuple(bool(np.isnan(x)) for x in self.prediction.landmarks.points_mm[:, 0])

    @cached_property
    def points_mm(self) -> Points:
        """(n, 3) RAS+ mm of the landmarks; x and y of the spine's middle for heights alone."""
        points = np.array(self.prediction.landmarks.points_mm)
        alone = np.array(self.heights_only, dtype=bool)
        if alone.any():
            points[alone, :2] = self.pair.spine_mm
        return points

    @cached_property
    def overlay_png(self) -> bytes:
        """Both views with the levels drawn."""
        return plots.png(plots.overlay(self.pair, self.prediction))

    @cached_property
    def slice_pngs(self) -> dict[str, bytes]:
        """The axial slice of each level found; none where the case is a MIP archive."""
        if self.volume is None:
            return {}
        marks = self.prediction.landmarks
        return {
            label: self._slice_png(self.volume, number) for number, label in enumerate(marks.labels)
        }

    def slice_words(self, number: int) -> str:
        """Say where the landmark of that number lies and how sure it is."""
        marks, place = self.prediction.landmarks, self.prediction.slices[number]
        parts = [_slice_name(place, self.source)] if place else []
        parts.append(f"z {marks.points_mm[number][2]:.1f} mm".replace("-", "−"))
        if np.isfinite(marks.scores[number]):
            parts.append(f"score {marks.scores[number]:.2f}")
        if np.isfinite(marks.spread_mm[number]):
            parts.append(f"90 % within ±{marks.spread_mm[number]:.1f} mm")
        return " · ".join(parts)

    def _slice_png(self, volume: Volume, number: int) -> bytes:
        label, place = self.prediction.landmarks.labels[number], self.prediction.slices[number]
        image = cut(volume, place.index if place else None, self.points_mm[number])
        lines = [self.slice_words(number), *filter(None, [image.remark]), *self._doubts(label)]
        figure = plots.axial_slice(image.image, image.spacing_mm, (label, self.case), lines)
        return plots.png(figure)

    def _doubts(self, label: str) -> list[str]:
        """Return the warnings about one level, without its name."""
        own = [line for line in self.prediction.warnings if subject(line) == label]
        return [f"warning: {line.partition(': ')[2]}" for line in own]


def _slice_name(place: SliceReference, source: Source) -> str:
    name = f"slice {place.index + 1} of {source.shape[source.slice_axis]}"
    return name if place.instance_number is None else f"{name} (image {place.instance_number})"
