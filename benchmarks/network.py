"""Our networks against the network of the thesis code, on one MIP pair."""

from collections.abc import Callable
from typing import Any

from benchmarks.timing import Figure, alternately
from vertebra_ml.mip import MipPair
from vertebra_ml.models.architectures import architecture
from vertebra_ml.models.inputs import bucket, regrid, tensors
from vertebra_ml.models.program import program

AT_LEAST = 10.0
BASELINE = "kanavati"
OURS = ("pair", "compact")


def measure(pair: MipPair, heads: int, rounds: int) -> list[Figure]:
    """Time one forward pass of each; weights do not matter to it, so they are random."""
    networks = {name: _forward(name, pair, heads) for name in (BASELINE, *OURS)}
    seconds = alternately(networks, rounds)
    return [_figure(name, seconds[BASELINE], seconds[name]) for name in OURS]


def _figure(name: str, baseline: float, ours: float) -> Figure:
    ratio = baseline / ours
    bound = f"at least {AT_LEAST:.0f} times as fast"
    met = ratio >= AT_LEAST
    what = f"network {name}, one MIP pair"
    return Figure(what, f"{1000 * baseline:.0f} ms", f"{1000 * ours:.0f} ms", ratio, bound, met)


def _forward(name: str, pair: MipPair, heads: int) -> Callable[[], Any]:
    shape = architecture(name)
    network = shape.network(heads)
    ask = program(network)  # as in serving
    grid = regrid(pair, spacing_mm=shape.spacing_mm, widths_mm=shape.widths_mm)
    batch = tensors([(grid.frontal, grid.sagittal)], bucket(grid.rows))
    return lambda: ask(batch)
