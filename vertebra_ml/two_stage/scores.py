"""How likely a name is right: by how well the networks recognise it and its neighbours.

The chain's own probability says how well a labelling explains the whole column; a part of it that
is a level off makes hardly a difference there. What tells such a part is that the networks, where
it lies, would rather have said other names. So the score of a name is the chance that answers with
as much recognition around them, and as sure a place, were right.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from vertebra_ml.anatomy import RANK

Doubles = NDArray[np.float64]

AROUND: Final = 3.0
"""Standard deviation, in vertebrae, of the bell over neighbours."""
RECOGNISED, SPREAD, OFFSET = 9.50, -1.92, -0.50
"""Of the log odds that a name is right: per unit of recognition, per e-fold of the radius in mm,
and for itself. Fitted by ``python -m benchmarks.scores`` on 4,977 names of 400 phantoms of
other ranges than those learnt from: docs/decisions.md."""
MOST: Final = 0.999
"""Nothing measured says that anything is surer."""


def recognition(levels: Sequence[str], words: Sequence[Doubles]) -> Doubles:
    """Return (n,) how probable, 0..1, the networks find each of ``levels`` and its neighbours.

    ``levels`` are names head to foot; ``words`` are (n, 26) by network: how likely each level is
    there. The mean over networks and, by a bell, over the names around.
    """
    rows = np.arange(len(levels))
    ranks = [RANK[level] for level in levels]
    own = np.mean([one[rows, ranks] for one in words], axis=0)
    bell = np.exp(-0.5 * ((rows[:, None] - rows) / AROUND) ** 2)
    result: Doubles = bell @ own / bell.sum(axis=1)
    return result


def scores(recognised: Doubles, spread_mm: Doubles) -> Doubles:
    """Return (n,) the chance that names are right and lie where they are said to, at most ``MOST``.

    ``recognised`` is as of ``recognition``, ``spread_mm`` the radius that holds 90 % of the truths.
    """
    odds = RECOGNISED * recognised + SPREAD * np.log(spread_mm) + OFFSET
    result: Doubles = np.minimum(expit(odds), MOST)
    return result


def recognition_of(known: Doubles, spread_mm: Doubles) -> Doubles:
    """Return the ``recognition`` that gave these scores, to fit the numbers above anew."""
    result: Doubles = (logit(known) - OFFSET - SPREAD * np.log(spread_mm)) / RECOGNISED
    return result
