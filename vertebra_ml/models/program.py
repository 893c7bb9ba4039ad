"""A network as one program for pictures of any size, made once, when it is loaded."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Singles = NDArray[np.float32]
Program = Callable[[Sequence[Singles]], Singles]


def program(network: Any) -> Program:
    """Return what maps a batch, an array for each of ``network.inputs``, to its outputs.

    Left alone, TensorFlow traces a program for the first size that it is shown and another, for any
    size, at the second. Here it is told that sizes vary: half the start, and pictures of all sizes
    run the very same program, so that digits do not hang on what was asked before. Other backends
    compile for each size.
    """
    import keras

    network.jit_compile = False  # a compiler would start anew at every size
    if keras.backend.backend() != "tensorflow":
        return _as_it_is(network)
    import tensorflow as tf

    varying = [[tf.TensorSpec(each.shape, each.dtype) for each in network.inputs]]
    traced = tf.function(
        lambda pictures: network(_alone(pictures), training=False),
        input_signature=varying,
        autograph=False,  # a network of layers holds no Python to translate
    )
    return lambda pictures: np.asarray(traced([tf.constant(each) for each in pictures]))


def _as_it_is(network: Any) -> Program:
    return lambda pictures: np.asarray(network.predict_on_batch(_alone(pictures)))


def _alone(pictures: Sequence[Any]) -> Any:
    """Return what a network of one input or of several is called with."""
    return pictures[0] if len(pictures) == 1 else list(pictures)
