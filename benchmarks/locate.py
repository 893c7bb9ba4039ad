"""From a .nii.gz on disk to the finished row, model loaded, against nibabel's plain read."""

from pathlib import Path

import nibabel as nib
import numpy as np

from benchmarks.timing import Figure, alternately, extra_memory
from vertebra_ml import models
from vertebra_ml.config import Params
from vertebra_ml.models.architectures import architecture
from vertebra_ml.models.contract import CONTRACT, WEIGHTS, Contract, Settings
from vertebra_ml.readers import open_case
from vertebra_ml.volume import Volume

TIMES, VOLUMES = 1.5, 3.0
KIND = "slice_spotter"


def measure(path: Path, localiser: models.Localiser, rounds: int) -> list[Figure]:
    """Time and weigh both on one file."""

    def plain_read() -> object:
        return np.asanyarray(nib.load(path).dataobj)

    def finished_row() -> object:
        return models.locate(localiser, open_case(path)).rows()

    seconds = alternately({"read": plain_read, "row": finished_row}, rounds)
    ratio = seconds["row"] / seconds["read"]
    baseline, ours = (f"{seconds[name]:.2f} s" for name in ("read", "row"))
    bound = f"at most {TIMES} times nibabel's read"
    speed = Figure(".nii.gz to finished row", baseline, ours, ratio, bound, ratio <= TIMES)
    image = nib.load(path)
    held = int(np.prod(image.shape)) * image.get_data_dtype().itemsize
    taken = extra_memory(finished_row)
    share = taken / held
    baseline, ours = (f"{n / 2**20:.0f} MiB" for n in (held, taken))
    bound = f"at most {VOLUMES:.0f} times the volume"
    met = share <= VOLUMES
    return [speed, Figure("memory of that, peak", baseline, ours, share, bound, met)]


def write(volume: Volume, path: Path) -> None:
    """Write the CT as nibabel writes it by default."""
    image = nib.Nifti1Image(volume.array, volume.affine)
    image.header.set_xyzt_units("mm")
    nib.save(image, path)


def localiser(params: Params, trained: Path, scratch: Path) -> models.Localiser:
    """Load the trained model; where there is none, the same network untrained, as fast as it."""
    folder = trained if (trained / CONTRACT).is_file() else _untrained(params, scratch)
    return models.load_model(folder)


def _untrained(params: Params, folder: Path) -> Path:
    section = params.models.slice_spotter
    settings = Settings.of(section.model_dump())
    contract = Contract(
        kind=KIND,
        settings=settings,
        preparation=params.projection.model_dump(),
        thresholds={"presence": section.presence_threshold, "warning": section.warning_score},
        seed=params.seed,
        data_hash="untrained",
        limits={},
    )
    folder.mkdir(parents=True)
    contract.write(folder)
    architecture(settings.architecture).network(len(settings.heads)).save_weights(folder / WEIGHTS)
    return folder
