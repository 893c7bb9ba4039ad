"""The slice spotter: a pair of MIPs -> the height of each level, or "not in this scan"."""

import threading
import time
from pathlib import Path
from typing import Any, Final

import numpy as np

from vertebra_ml import prepare
from vertebra_ml.bounds import check_mips, check_volume
from vertebra_ml.errors import ModelError
from vertebra_ml.landmarks import Landmarks, ModelIdentity, Prediction, SliceReference
from vertebra_ml.mip import MipPair
from vertebra_ml.models.architectures import architecture
from vertebra_ml.models.contract import WEIGHTS, Contract, Settings
from vertebra_ml.models.decoding import Decoder, Verdict, distribution
from vertebra_ml.models.inputs import Grid, bucket, regrid, tensors
from vertebra_ml.models.program import program
from vertebra_ml.targets import Floats
from vertebra_ml.volume import AIR_HU, Source, Volume

WARM_ROWS: Final = 32
"""Height of an empty picture shown at loading, so that the first answer waits for nothing. A
multiple of 32, which the networks that halve their rows five times want."""


class SliceSpotter:
    """A trained slice spotter. ``locate`` may be called from many threads."""

    def __init__(self, network: Any, contract: Contract, identity: ModelIdentity) -> None:
        self._ask = program(network)
        self._contract = contract
        self._architecture = architecture(contract.settings.architecture)
        known = contract.thresholds
        self._decoder = decoder(contract.settings, known["presence"], known.get("answer", 0.0))
        self._lock = threading.Lock()
        self._identity = identity
        columns = self._architecture.columns
        frontal, sagittal = (np.full((WARM_ROWS, width), AIR_HU) for width in columns)
        self._ask(tensors([(frontal, sagittal)], WARM_ROWS))

    def __repr__(self) -> str:
        settings = self._contract.settings
        return f"SliceSpotter({settings.architecture}: {' '.join(self.levels)})"

    @property
    def kind(self) -> str:
        """The model family."""
        return self._contract.kind

    @property
    def levels(self) -> tuple[str, ...]:
        """The levels it answers, head to foot."""
        asked = self._contract.settings.levels
        return tuple(level for level in self._contract.settings.heads if level in asked)

    @property
    def identity(self) -> ModelIdentity:
        """Which model this is, as its answers say."""
        return self._identity

    def locate(self, volume: Volume, case: str) -> Prediction:
        """Project a CT and answer.

        Raises GeometryError where it cannot be projected, and LimitError where the model's limits
        refuse it.
        """
        start = time.perf_counter()
        beyond = check_volume(volume, case, self._contract.limits)
        how = self._contract.preparation
        pair = prepare.project(
            volume,
            spacing_mm=how["spacing_mm"],
            body_threshold_hu=how["body_threshold_hu"],
            slab_mm=how["sagittal_slab_mm"],
        )
        return self._answer(pair, volume.origin, case, start, beyond)

    def locate_mips(self, pair: MipPair, source: Source, case: str) -> Prediction:
        """Answer for MIPs made before, of a CT on the grid ``source``; LimitError as above."""
        start = time.perf_counter()
        beyond = check_mips(pair, source, case, self._contract.limits)
        return self._answer(pair, source, case, start, beyond)

    def distributions(self, grid: Grid) -> Floats:
        """Return (heads, rows + 1): each level read alone, rows of ``grid``, then "not here"."""
        batch = tensors([(grid.frontal, grid.sagittal)], bucket(grid.rows))
        with self._lock:
            logits = self._ask(batch)[0]
        return distribution(logits, grid.rows, self._architecture.activation)

    def _answer(
        self, pair: MipPair, source: Source, case: str, start: float, beyond: tuple[str, ...]
    ) -> Prediction:
        shape = self._architecture
        if pair.is_air:
            verdicts = [Verdict(level, None, 0.0, float("nan")) for level in self.levels]
            warnings = [*beyond, "no body found in the scan"]
        else:
            grid = regrid(pair, spacing_mm=shape.spacing_mm, widths_mm=shape.widths_mm)
            verdicts = self._decoder.read(self.distributions(grid), self.levels)
            warnings = [*beyond, *self._doubts(verdicts)]
        found: list[tuple[Verdict, Floats, SliceReference]] = []
        missing: list[Verdict] = []
        for verdict in (one for one in verdicts if one.told):
            if verdict.row is not None:
                # The last row of a coarse grid may reach half a pixel beyond the scan.
                z_mm = float(np.clip(grid.z_of_row(verdict.row), *_ends(pair)))
                place = source.slice_at(np.array([*pair.spine_mm, z_mm]))
                if place is not None:
                    found.append((verdict, np.array([np.nan, np.nan, z_mm]), place))
                    continue
                warnings.append(f"{verdict.level}: its place lies outside the scan")
            missing.append(verdict)
        return Prediction(
            case=case,
            landmarks=_landmarks(found),
            missing=tuple(verdict.level for verdict in missing),
            slices=tuple(place for _, _, place in found),
            model=self._identity,
            seconds=time.perf_counter() - start,
            warnings=tuple(warnings),
            absent_scores=tuple(verdict.score for verdict in missing),
            untold={verdict.level: verdict.score for verdict in verdicts if not verdict.told},
        )

    def _doubts(self, verdicts: list[Verdict]) -> list[str]:
        least = self._contract.thresholds["warning"]
        return [_doubt(verdict, least) for verdict in verdicts if verdict.score < least]


def _doubt(verdict: Verdict, least: float) -> str:
    score = f"score {verdict.score:.2f}"
    if not verdict.told:
        said = f"seems to be in the scan, but its best place would be a guess ({score}), so none "
        said += "is told"
    elif verdict.row is None:
        said = f"not in this scan, but its {score} is below {least:.2f}, look at the overlay"
    else:
        said = f"{score} is below {least:.2f}, look at the overlay"
    return f"{verdict.level}: {said}"


def load(folder: Path, contract: Contract, identity: ModelIdentity) -> SliceSpotter:
    """Build the network of ``contract``, load its weights from ``folder`` and get it ready.

    Raises ModelError where the weights are missing or of another network.
    """
    return SliceSpotter(load_network(folder, contract), contract, identity)


def load_network(folder: Path, contract: Contract) -> Any:
    """Build the network of ``contract`` with the weights in ``folder``; errors as of ``load``."""
    path = folder / WEIGHTS
    network = architecture(contract.settings.architecture).network(len(contract.settings.heads))
    try:
        network.load_weights(path)
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(
            path,
            found=f"{type(error).__name__}: {error}",
            expected=f"weights of the network {contract.settings.architecture}",
            fix="train the model again, or run `dvc pull`",
        ) from error
    return network


def decoder(
    settings: Settings, presence_threshold: float, answer_threshold: float = 0.0
) -> Decoder:
    """Return the decode that serving uses; training measures itself with the very same."""
    shape = architecture(settings.architecture)
    return Decoder(
        levels=settings.heads,
        row_mm=shape.spacing_mm,
        sigma_mm=settings.target_sigma_mm,
        presence_threshold=presence_threshold,
        column=shape.column,
        answer_threshold=answer_threshold,
    )


def _ends(pair: MipPair) -> tuple[float, float]:
    """Give the world z (mm) of the lowest and the highest row of the MIPs."""
    top, foot = pair.frontal.z_of_row([0, pair.rows - 1])
    return float(foot), float(top)


def _landmarks(found: list[tuple[Verdict, Floats, SliceReference]]) -> Landmarks:
    if not found:
        return Landmarks.empty()
    return Landmarks(
        tuple(verdict.level for verdict, _, _ in found),
        np.array([point for _, point, _ in found]),
        np.array([verdict.score for verdict, _, _ in found]),
        np.array([verdict.spread_mm for verdict, _, _ in found]),
    )
