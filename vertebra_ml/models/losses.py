"""What a network is told about its error, from logits, without losing precision.

Targets and logits are (batch, levels, rows + 1); each loss gives (batch, levels). Targets sum to 1.
Logits of members are (batch, members, levels, rows + 1): each is told of its own error.
"""

from collections.abc import Callable
from typing import Any, Final

from keras import ops

FOCUS: Final = 2.0
"""Exponent of the focal loss (Lin et al. 2017, arXiv 1708.02002)."""

SURE: Final = 1 - 1e-6


def softmax_bce(targets: Any, logits: Any) -> Any:
    """Binary cross entropy of each entry of the distribution over rows and absence, summed."""
    log_p = ops.log_softmax(logits, axis=-1)
    log_q = ops.log1p(-ops.minimum(ops.exp(log_p), SURE))
    return -ops.sum(targets * log_p + (1 - targets) * log_q, axis=-1)


def softmax_focal(targets: Any, logits: Any) -> Any:
    """The same, each entry weighed down by how nearly right it is."""
    log_p = ops.log_softmax(logits, axis=-1)
    p = ops.minimum(ops.exp(log_p), SURE)
    right = targets * (1 - p) ** FOCUS * log_p
    return -ops.sum(right + (1 - targets) * p**FOCUS * ops.log1p(-p), axis=-1)


def sigmoid_bce(targets: Any, logits: Any) -> Any:
    """Mean binary cross entropy of independent rows, the peak of the target raised to 1."""
    wanted, rows = _peaks(targets), logits[..., :-1]
    losses = ops.softplus(rows) - wanted * rows
    return ops.mean(losses, axis=-1)


def sigmoid_focal(targets: Any, logits: Any) -> Any:
    """The same, each row weighed down by how nearly right it is."""
    wanted, rows = _peaks(targets), logits[..., :-1]
    p = ops.sigmoid(rows)
    right = wanted * (1 - p) ** FOCUS * ops.softplus(-rows)
    return ops.mean(right + (1 - wanted) * p**FOCUS * ops.softplus(rows), axis=-1)


def of_members(loss: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Return the mean of a loss over members that learn the same targets apart."""

    def mean(targets: Any, logits: Any) -> Any:
        return ops.mean(loss(targets[:, None], logits), axis=1)

    return mean


LOSSES: Final = {
    ("softmax", "bce"): softmax_bce,
    ("softmax", "focal"): softmax_focal,
    ("members", "bce"): of_members(softmax_bce),
    ("members", "focal"): of_members(softmax_focal),
    ("sigmoid", "bce"): sigmoid_bce,
    ("sigmoid", "focal"): sigmoid_focal,
}
"""(activation of the architecture, loss of the settings) -> function."""


def _peaks(targets: Any) -> Any:
    rows = targets[..., :-1]
    return rows / ops.maximum(ops.max(rows, axis=-1, keepdims=True), 1e-6)
