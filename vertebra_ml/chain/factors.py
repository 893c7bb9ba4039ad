"""What varies together in one person: a factor model of rows with holes.

Most scans show a part of a column, so the model is fitted by expectation maximisation over what
each shows (Rubin & Thayer 1982, doi 10.1007/BF02293851).
"""

from typing import Final

import numpy as np

from vertebra_ml.chain.candidates import Floats

RIDGE: Final = 6.0
"""Spines' worth of belief that a loading is zero: shrinks what few scans show."""
ROUNDS: Final = 60
SEEN_MIN: Final = 4
"""Features with fewer values say nothing on what varies together."""


def fit_factors(rows: Floats, factors: int) -> dict[str, Floats]:
    """Fit ``row = mean + loadings @ z + noise``, z standard normal, to (n, F) with NaN unseen.

    Returns mean and noise (SD), both (F,), and loadings (F, factors), in the units of the rows.
    The first factor is what explains most.
    """
    mean, sd = np.nanmean(rows, axis=0), np.nanstd(rows, axis=0)
    scaled = (rows - mean) / sd
    loadings = 0.3 * np.random.default_rng(0).standard_normal((rows.shape[1], factors))
    noise = np.full(rows.shape[1], 0.5)
    for _ in range(ROUNDS):
        loadings, noise = _round(scaled, loadings, noise)
    turn = np.linalg.svd(loadings, full_matrices=False)[2].T
    loadings = loadings @ turn
    loadings *= np.sign(loadings.sum(axis=0))
    return {"mean": mean, "noise": sd * np.sqrt(noise), "loadings": loadings * sd[:, None]}


def _round(scaled: Floats, loadings: Floats, noise: Floats) -> tuple[Floats, Floats]:
    """One step of expectation and maximisation; all rows at once."""
    seen = np.isfinite(scaled)
    values = np.where(seen, scaled, 0.0)
    part = loadings / noise[:, None]
    precision = np.einsum("nf,fa,fb->nab", seen.astype(float), part, loadings, optimize=True)
    cov = np.linalg.inv(np.eye(loadings.shape[1]) + precision)
    z = np.einsum("nab,nb->na", cov, values @ part)
    second = cov + z[:, :, None] * z[:, None]
    squares = np.einsum("nf,nab->fab", seen.astype(float), second, optimize=True)
    squares += RIDGE * np.eye(loadings.shape[1])
    crossed = values.T @ z
    new = np.linalg.solve(squares, crossed[..., None])[..., 0].astype(np.float64)
    count = seen.sum(axis=0)
    left = (values**2).sum(axis=0) - (new * crossed).sum(axis=1)
    return new, np.maximum(left / np.maximum(count, 1), 0.05)
