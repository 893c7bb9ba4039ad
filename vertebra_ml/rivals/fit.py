"""Teach the networks: ``python -m vertebra_ml.rivals.fit KEYPOINTS_FOLDER``.

KEYPOINTS_FOLDER holds ``detections/``, ``truth/`` and ``scans.txt`` of ImFusion VID. The result is
``weights.npz`` beside this file. Only these numbers enter the project.
"""

import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from joblib import cpu_count
from tqdm import tqdm

from vertebra_ml.chain import Statistics
from vertebra_ml.chain.examples import Example, read_examples
from vertebra_ml.chain.fit import fit
from vertebra_ml.chain.folds import fold_of, patients
from vertebra_ml.rivals.learning import StatisticsWithout, learn
from vertebra_ml.rivals.weights import SHIPPED, packed


def statistics_without(examples: Sequence[Example], folds: Mapping[str, int]) -> StatisticsWithout:
    """Return a function from folds to the chain's statistics fitted without them, each once."""

    @cache
    def fitted(without: frozenset[int]) -> Statistics:
        return Statistics.of(fit([e for e in examples if folds[e.name] not in without]))

    return fitted


def main(arguments: list[str]) -> None:
    """Write ``weights.npz`` from the folder named first in ``arguments``."""
    folder = Path(arguments[0])
    examples, folds = read_examples(folder), fold_of(patients(folder / "scans.txt"))
    networks = learn(
        examples,
        folds,
        statistics_without(examples, folds),
        watch=lambda each, total: tqdm(each, total=total, unit="network"),
        jobs=cpu_count(only_physical_cores=True),
    )
    part = SHIPPED.with_suffix(".part")
    part.write_bytes(packed(networks))
    part.replace(SHIPPED)


if __name__ == "__main__":
    main(sys.argv[1:])
