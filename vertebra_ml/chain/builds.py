"""How columns are built: how many thoracic and lumbar vertebrae, and what each is called."""

from dataclasses import dataclass
from typing import Final

from vertebra_ml.anatomy import CERVICAL, LUMBAR, THORACIC

LAST_STATION: Final = 23
"""The station of the vertebra above the sacrum; C1's is 0 (see ``statistics``)."""


@dataclass(frozen=True)
class Build:
    """A column of so many thoracic and lumbar vertebrae."""

    name: str
    thoracic: int
    lumbar: int

    @property
    def levels(self) -> tuple[str, ...]:
        """The levels head to foot."""
        return (*CERVICAL, *THORACIC[: self.thoracic], *LUMBAR[: self.lumbar])

    @property
    def stations(self) -> tuple[float, ...]:
        """Where each level lies between C1 (0) and the last above the sacrum (23).

        Lumbar vertebrae are counted from the sacrum; thoracic ones share what is left.
        """
        first = len(CERVICAL)
        stretch = (LAST_STATION - self.lumbar - first) / (self.thoracic - 1)
        return (
            *(float(n) for n in range(first)),
            *(first + n * stretch for n in range(self.thoracic)),
            *(float(LAST_STATION + 1 - self.lumbar + n) for n in range(self.lumbar)),
        )


USUAL_BUILD: Final = Build("usual", 12, 5)
BUILDS: Final = (
    USUAL_BUILD,
    Build("L6", 12, 6),
    Build("no L5", 12, 4),
    Build("T13", 13, 5),
    Build("no T12", 11, 5),
    Build("no T12, L6", 11, 6),
)
