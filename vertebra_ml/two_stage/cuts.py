"""What is kept of a labelled CT to learn from; it stands alone, since stored samples hang on it."""

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Cut:
    """Plain arrays for each of the two stages, as they are written into ``.npz`` files."""

    detection: Arrays
    identification: Arrays
