"""One program for pictures of any size, equal to the network called layer by layer."""

from typing import Any

import keras
import numpy as np
import pytest

from vertebra_ml.models.program import Singles, program


def _network(inputs: int) -> Any:
    """Return a small network of some inputs of any height, weights seeded."""
    keras.utils.set_random_seed(3)
    given = [keras.Input((None, 6, 1)) for _ in range(inputs)]
    seen = [keras.layers.Conv2D(4, 3, padding="same", activation="relu")(each) for each in given]
    joined = keras.layers.Add()(seen) if inputs > 1 else seen[0]
    dropped = keras.layers.Dropout(0.5)(keras.layers.BatchNormalization()(joined))
    return keras.Model(given if inputs > 1 else given[0], keras.layers.Conv2D(2, 1)(dropped))


def _pictures(inputs: int, rows: int) -> list[Singles]:
    rng = np.random.default_rng(rows)
    return [rng.normal(size=(2, rows, 6, 1)).astype(np.float32) for _ in range(inputs)]


@pytest.mark.parametrize("inputs", [1, 2])
def test_it_is_the_network_as_it_answers(inputs: int) -> None:
    network = _network(inputs)
    ask = program(network)
    for rows in (8, 5, 21):
        given = _pictures(inputs, rows)
        plain = network(given if inputs > 1 else given[0], training=False)
        np.testing.assert_allclose(ask(given), keras.ops.convert_to_numpy(plain), atol=1e-6)


def test_digits_do_not_hang_on_what_was_asked_before() -> None:
    network = _network(2)
    fresh, used = program(network), program(network)
    for rows in (4, 9, 16):
        used(_pictures(2, rows))
    assert np.array_equal(fresh(_pictures(2, 13)), used(_pictures(2, 13)))


def test_it_is_made_once_for_all_sizes() -> None:
    network = _network(1)
    passes: list[object] = []
    pass_through = network.call
    network.call = lambda *args, **how: passes.append(args) or pass_through(*args, **how)
    ask = program(network)
    for rows in (8, 5, 21, 8):
        ask(_pictures(1, rows))
    assert len(passes) == 1


def test_another_backend_is_asked_in_its_own_way(monkeypatch: pytest.MonkeyPatch) -> None:
    network = _network(2)
    expected = program(network)(_pictures(2, 7))
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    np.testing.assert_allclose(program(network)(_pictures(2, 7)), expected, atol=1e-6)
    assert network.jit_compile is False
