"""``python -m benchmarks.scores [FOLDER]``: what the two-stage model's scores are worth.

Phantoms of ranges other than those learnt from, of seeds neither trained, validated nor tested on,
are drawn and answered by the model in FOLDER (default ``models/two_stage``), names that it would
hold back as guesses included. Printed: how often names of a score were right, what a warning
threshold would doubt of the gross errors and of the right names, and the numbers of
``vertebra_ml.two_stage.scores`` fitted anew, cross-checked over five folds of phantoms.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from tqdm import tqdm

from vertebra_ml.landmarks import ModelIdentity, Prediction, Truth
from vertebra_ml.phantom import Phantom, draw
from vertebra_ml.two_stage.contract import Contract
from vertebra_ml.two_stage.localiser import load
from vertebra_ml.two_stage.scores import recognition_of

Doubles = NDArray[np.float64]

ROOT: Final = Path(__file__).parents[1]
FIRST_SEED: Final = 21_000_000
RIGHT_MM, GROSS_MM = 10.0, 20.0
FOLDS: Final = 5
THRESHOLDS: Final = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95)


@dataclass(frozen=True, eq=False)
class Names:
    """Names given by the model, ``n`` of all phantoms together.

    Parameters
    ----------
    phantom : (n,) which phantom.
    score : (n,) as answered.
    evidence : (n, 2) recognition, and the logarithm of the 90 % radius in mm.
    error_mm : (n,) from the truth of that name, infinite where that level is not in the scan.
    """

    phantom: NDArray[np.int64]
    score: Doubles
    evidence: Doubles
    error_mm: Doubles


def main(given: argparse.Namespace) -> None:
    """Draw, ask, fit and print."""
    names = asked(given.folder, range(given.seed, given.seed + given.phantoms), given.workers)
    print(f"{len(names.score)} names of {given.phantoms} phantoms, unlike ranges")
    print("\n".join(lines(names.score, names.error_mm)))
    chances, numbers = fitted(names)
    print("fitted anew, each phantom by the others:")
    print("\n".join(lines(chances, names.error_mm)))
    print("RECOGNISED, SPREAD, OFFSET = " + ", ".join(f"{number:.2f}" for number in numbers))


def asked(folder: Path, seeds: Sequence[int], workers: int) -> Names:
    """Return what the model in ``folder`` names in phantoms of these seeds."""
    contract = Contract.read(folder)
    bold = replace(contract, thresholds=contract.thresholds | {"guess": 0.0})  # guesses as well
    localiser = load(folder, bold, ModelIdentity(contract.kind))
    parts = []
    for number, phantom in enumerate(tqdm(_drawn(seeds, workers), total=len(seeds), mininterval=2)):
        answer = localiser.locate(phantom.volume, str(seeds[number]))
        parts.append((number, answer, phantom.truth))
    return judged(parts)


def judged(parts: Sequence[tuple[int, Prediction, Truth]]) -> Names:
    """Return the names of answers beside their truths; what is visible unlabelled is left out."""
    rows = []
    for number, answer, truth in parts:
        marks = answer.landmarks
        for level, point, score, spread in zip(
            marks.labels, marks.points_mm, marks.scores, marks.spread_mm, strict=True
        ):
            if level in truth.landmarks:
                error = float(np.linalg.norm(point - truth.landmarks[level]))
            elif level in truth.visible:
                continue
            else:
                error = np.inf
            rows.append((number, score, spread, error))
    phantom, score, spread, error_mm = np.array(rows, dtype=np.float64).reshape(-1, 4).T
    evidence = np.column_stack([recognition_of(score, spread), np.log(spread)])
    return Names(phantom.astype(np.int64), score, evidence, error_mm)


def fitted(names: Names) -> tuple[Doubles, Doubles]:
    """Return (n,) chances by the other folds' phantoms, and the numbers by all of them."""
    from sklearn.linear_model import LogisticRegression

    right = names.error_mm <= RIGHT_MM
    folds, chances = names.phantom % FOLDS, np.empty(len(right))
    for fold in range(FOLDS):
        taught = LogisticRegression(C=np.inf).fit(
            names.evidence[folds != fold], right[folds != fold]
        )
        chances[folds == fold] = taught.predict_proba(names.evidence[folds == fold])[:, 1]
    every = LogisticRegression(C=np.inf).fit(names.evidence, right)
    return chances, np.concatenate([every.coef_[0], every.intercept_])


def lines(scores: Doubles, error_mm: Doubles) -> Iterator[str]:
    """Yield the tables for these scores; a level that is not in the scan counts as gross."""
    right, gross = error_mm <= RIGHT_MM, error_mm > GROSS_MM
    said = np.where(right, scores, 1 - scores)[right | gross]
    yield f"surprise {-np.log(np.clip(said, 1e-3, 1)).mean():.4f} nats a name"
    yield "score          names  right"
    for low, high in zip((0.0, *THRESHOLDS), (*THRESHOLDS, 1.01), strict=True):
        here = (scores >= low) & (scores < high)
        share = f"{right[here].mean():.1%}" if here.any() else ""
        yield f"{low:.2f} to {min(high, 1):.2f}  {here.sum():6d} {share:>6}"
    yield "below   of the gross  of the right"
    for least in THRESHOLDS:
        yield (
            f"{least:.2f}  {(scores[gross] < least).mean():12.0%}"
            f"  {(scores[right] < least).mean():12.1%}"
        )


def _drawn(seeds: Sequence[int], workers: int) -> Iterator[Phantom]:
    parallel = Parallel(n_jobs=workers, return_as="generator", pre_dispatch=workers)
    yield from parallel(delayed(draw)(seed, "unlike") for seed in seeds)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "models" / "two_stage")
    parser.add_argument("--phantoms", type=int, default=200)
    parser.add_argument("--seed", type=int, default=FIRST_SEED, help="the first phantom's")
    parser.add_argument("--workers", type=int, default=2)
    return parser.parse_args()


if __name__ == "__main__":
    main(_options())
