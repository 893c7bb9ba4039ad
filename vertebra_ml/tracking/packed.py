"""A registered model asked the way it is served: by the library that was packed with it."""

import json
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import nibabel as nib
import numpy as np

from vertebra_ml.archive import Archive, write_archive
from vertebra_ml.errors import ModelError
from vertebra_ml.landmarks import Landmarks, ModelIdentity, Prediction
from vertebra_ml.mip import MipPair
from vertebra_ml.tracking.provenance import read_contract
from vertebra_ml.tracking.registry import MLMODEL, identity
from vertebra_ml.volume import Source, Volume

log = logging.getLogger(__name__)
WORKER = Path(__file__).with_name("packed_worker.py")
OURS = "VERTEBRA_ML_"
ROOT = "VERTEBRA_ML_ROOT"


class Packed:
    """A localiser that lets a packed model answer in a process of its own.

    Parameters
    ----------
    folder : the model folder inside a logged model, as ``registry.fetch`` returns it.

    A scan that it cannot answer for counts as one in which it finds nothing.
    """

    def __init__(self, folder: Path) -> None:
        contract = read_contract(folder)
        self.kind = str(contract["kind"])
        self.levels = tuple(map(str, contract["settings"]["levels"]))
        self.identity: ModelIdentity = identity(folder)
        self._package = next(p for p in folder.parents if (p / MLMODEL).is_file())
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._place = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        kept = {key: value for key, value in os.environ.items() if not key.startswith(OURS)}
        self._process = self._stack.enter_context(
            subprocess.Popen(
                [sys.executable, "-P", str(WORKER), str(self._package.absolute())],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                text=True, cwd=self._place, env=kept | {ROOT: str(self._place)},
            )
        )  # fmt: skip
        self._stack.callback(self._process.kill)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def locate(self, volume: Volume, case: str) -> Prediction:
        """Answer for a CT. Raises ModelError where the model's process ended."""
        path = self._place / "scan.nii"
        nib.save(nib.Nifti1Image(np.asarray(volume.array), volume.affine), path)
        return self._answer(path, case)

    def locate_mips(self, pair: MipPair, source: Source, case: str) -> Prediction:
        """Answer for MIPs. Raises ModelError where the model's process ended."""
        path = self._place / "scan.npz"
        write_archive(path, Archive("scan", "scan", "scan", pair, source))
        return self._answer(path, case)

    def _answer(self, path: Path, case: str) -> Prediction:
        line = self._ask({"path": path.name, "case": case})
        rows = json.loads(line)
        error = rows.get("error") if isinstance(rows, dict) else rows[0].get("error")
        if error:
            log.warning("%s: not answered, counted as nothing found: %s", case, error)
            return self._prediction(case, [])
        return self._prediction(case, rows)

    def _ask(self, row: Mapping[str, str]) -> str:
        line = ""
        if self._process.stdin and self._process.stdout:
            try:
                self._process.stdin.write(json.dumps(row) + "\n")
                self._process.stdin.flush()
                line = self._process.stdout.readline()
            except OSError:  # a pipe whose other end is gone
                line = ""
        if not line:
            raise ModelError(
                self._package,
                found="a packed model that does not load here",
                expected="the packages of its requirements.txt",
                fix=f"try `mlflow models serve -m {self._package} --env-manager local`",
            )
        return line

    def _prediction(self, case: str, rows: list[dict[str, Any]]) -> Prediction:
        found = {row["level"]: row for row in rows if row["found"]}
        points = {level: _point(row) for level, row in found.items()}
        untold = {row["level"]: _number(row["score"]) for row in rows if row["found"] is None}
        absent = tuple(level for level in self.levels if level not in {*found, *untold})
        nowhere = (None,) * len(points)
        return Prediction(
            case, Landmarks.of(points), absent, nowhere, self.identity, 0.0, untold=untold
        )


def _point(row: Mapping[str, Any]) -> tuple[float, ...]:
    """Return RAS+ mm; NaN for what a height alone does not say."""
    return tuple(_number(row[key]) for key in ("x_mm", "y_mm", "z_mm"))


def _number(value: Any) -> float:
    return np.nan if value is None else float(value)
