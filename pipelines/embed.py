"""Make the embedded cohort ``data/``: a dozen small scans of nine phantoms, in every layout.

Run by hand, not a stage: ``python -m pipelines.embed && dvc add data && dvc push``.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

from vertebra_ml.phantom import draw
from vertebra_ml.readers.writers import write_case

ROOT = Path("data")
VOXELS_MAX = 600_000
"""About 1 MB compressed a scan: the cohort travels with the repository."""


@dataclass(frozen=True)
class Scan:
    """One scan: whose, how it is written, and the spacing it is averaged to where not its own."""

    case: str
    patient: str
    layout: str
    seed: int
    spacing_mm: tuple[float, float, float] | None = None


SCANS = (
    Scan("abdomen-1", "p1", "plain", 915),
    Scan("abdomen-1-thick", "p1", "plain", 915, (5.0, 5.0, 6.0)),  # the same acquisition again
    Scan("abdomen-2", "p2", "plain", 906),
    Scan("neck-3", "p3", "plain", 916),  # neither T12 nor L3
    Scan("abdomen-4", "p4", "plain-dicom", 927),
    Scan("abdomen-4-thick", "p4", "plain", 927, (4.0, 4.0, 7.0)),
    Scan("chest-5", "p5", "plain-dicom", 953),  # T12 without L3
    Scan("trunk-6", "p6", "plain", 913),  # narrow and tilted
    Scan("abdomen7", "p7", "verse", 925),
    Scan("abdomen7thick", "p7", "verse", 925, (6.0, 4.5, 4.5)),
    Scan("lumbar8", "p8", "verse", 933),
    Scan("trunk9", "p9", "verse", 947),
)


def main() -> None:
    """Write every scan anew."""
    shutil.rmtree(ROOT, ignore_errors=True)
    for scan in SCANS:
        person = draw(scan.seed, "unlike", voxels_max=VOXELS_MAX)
        volume = person.volume.resample(scan.spacing_mm) if scan.spacing_mm else person.volume
        folder = ROOT / scan.layout.partition("-")[0]
        write_case(folder, scan.case, volume, person.truth, scan.layout, patient=scan.patient)
        print(f"{scan.case}: {volume!r}, {person.truth.landmarks!r}")


if __name__ == "__main__":
    main()
