"""A model that answers at once or after a while, notes each scan it begins, and may take its
process down; and a batch of small scans for it, as a program of its own.
"""

import math
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from uuid import uuid4

import numpy as np

from vertebra_ml.case import Case
from vertebra_ml.errors import ModelError
from vertebra_ml.landmarks import Landmarks, ModelIdentity, Prediction
from vertebra_ml.many import engines
from vertebra_ml.many import scans as many_scans
from vertebra_ml.many.scans import Wanted, locate_many
from vertebra_ml.volume import Volume

STEP_MM = 5.0


@dataclass(frozen=True)
class Fake:
    """What the model is made of: a folder for its notes, how long it takes, whether it loads."""

    notes: Path
    pause_s: float = 0.0
    broken: bool = False
    mark: str = "fake"

    def build(self) -> "FakeModel":
        """Return the model, noting in which process."""
        if self.broken:
            raise ModelError("fake", found="a broken model", expected="a whole one", fix="mend it")
        self.notes.mkdir(exist_ok=True)
        (self.notes / f"model_{os.getpid()}").touch()
        return FakeModel(self)


class FakeModel:
    """Finds L3 at the height that the scan's first voxel tells; no T12."""

    kind, levels, identity = "fake", ("T12", "L3"), ModelIdentity("fake", "7")

    def __init__(self, recipe: Fake) -> None:
        self._recipe = recipe

    def locate(self, volume: Volume, case: str) -> Prediction:
        """Answer, fail or kill the process, as the name of the case says."""
        (self._recipe.notes / f"{case}_{uuid4().hex}").touch()
        if case.startswith("killer"):
            os.kill(os.getpid(), signal.SIGKILL)
        if case.startswith("bad"):
            raise ValueError("of no scan")
        time.sleep(self._recipe.pause_s)
        height = float(volume.array[0, 0, 0]) + 1 / 3
        marks = Landmarks(("L3",), np.array([[math.nan, math.nan, height]]), np.array([0.87654]))
        places = (volume.origin.slice_at(np.array([0.0, 0.0, height])),)
        return Prediction(
            case, marks, ("T12",), places, self.identity, 0.01, ("a doubt, with a comma",), (0.5,)
        )

    def locate_mips(self, *_: object) -> Prediction:
        """Say that no scan here is one of MIPs."""
        raise NotImplementedError


def volume_of(height: int) -> Volume:
    """Return a scan that tells where its L3 is."""
    array = np.full((4, 4, 30), -1000, np.int16)
    array[0, 0, 0] = height
    return Volume(array, np.diag([STEP_MM, STEP_MM, STEP_MM, 1.0]))


def scans(folder: Path, names: Iterable[str]) -> list[Case]:
    """Return scans with files to be known by; each is its own in height."""
    folder.mkdir(exist_ok=True)
    cases = []
    for number, name in enumerate(names):
        path = folder / f"{name}.nii.gz"
        if not path.exists():
            path.write_bytes(b"scan")
        cases.append(Case(name, name, path, "scan", partial(volume_of, 10 + number)))
    return cases


def begun(notes: Path) -> Counter[str]:
    """Return how often each scan was begun."""
    names = [path.name.rpartition("_")[0] for path in notes.iterdir()]
    return Counter(name for name in names if name != "model")


def loaded(notes: Path) -> int:
    """Return how many processes have loaded the model."""
    return len(list(notes.glob("model_*")))


def main(folder: str, count: str, workers: str, pause_s: str) -> None:
    """Locate so many scans into ``folder/out``."""
    many_scans.code_mark = lambda: "same"  # who edits meanwhile disturbs no test
    root = Path(folder)
    cases = scans(root / "scans", [f"s{number:03d}" for number in range(int(count))])
    fake = Fake(root / "notes", float(pause_s))
    fake.notes.mkdir(exist_ok=True)
    wanted = Wanted(root / "out", ("csv", "json"), False, fake.mark)
    locate_many(cases, wanted, engines.here(fake, fake.build, int(workers)))


if __name__ == "__main__":
    main(*sys.argv[1:])
