"""Which phantoms a cohort has: their parts, seeds and names, the same wherever one is drawn."""

from dataclasses import dataclass

from pipelines.stage import seeds_of
from vertebra_ml import phantom
from vertebra_ml.config import Params, Section
from vertebra_ml.phantom.cohort import Phantom, Population

RANGES: dict[str, Population] = {"train": "training", "validation": "unlike"}
"""Those tuned on are drawn from other bodies and scanners than those trained on."""

SCANS_AFTER = 500_000
"""Seeds of scans lie this far above those of the trunks of their part."""

SCAN_VOXELS = 8_000_000
"""Bound on the voxels of a scan: thinner slices would cost more and project to the same MIP."""


@dataclass(frozen=True)
class Person:
    """One phantom to make."""

    part: str
    kind: str
    seed: int

    @property
    def name(self) -> str:
        """Its id, unique in the cohort."""
        kind = "" if self.kind == "trunks" else "scan-"
        return f"phantom-{kind}{self.part}-{self.seed}"

    def draw(self) -> Phantom:
        """Make its CT."""
        ranges = RANGES[self.part]
        if self.kind == "trunks":
            return phantom.trunk(self.seed, ranges)
        return phantom.draw(self.seed, ranges, voxels_max=SCAN_VOXELS)


def people_of(params: Params, cohorts: Section) -> list[Person]:
    """Return every phantom of the training and validation parts; ``cohorts`` counts them.

    A smaller cohort is the beginning of a larger one: the same people, under the same names.
    """
    people = []
    for part in RANGES:
        cohort = getattr(cohorts, part)
        people += [Person(part, "trunks", seed) for seed in seeds_of(params, part, cohort.trunks)]
        seeds = seeds_of(params, part, cohort.scans)
        people += [Person(part, "scans", SCANS_AFTER + seed) for seed in seeds]
    return people
