"""What a store says while it is used, in one line: a full disk, a lost server, no permission."""

from collections.abc import Iterator
from contextlib import contextmanager

import mlflow
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from vertebra_ml.errors import ModelError
from vertebra_ml.tracking.addresses import shown

LENGTH_MAX = 300  # characters


@contextmanager
def in_one_line() -> Iterator[None]:
    """Turn what the tracking store of this process raises within the block into a ModelError.

    The statement that failed is left out: it may hold anything.
    """
    try:
        yield
    except (MlflowException, SQLAlchemyError) as error:
        lines = str(error).strip().splitlines()
        raise ModelError(
            shown(mlflow.get_tracking_uri()),
            found=shown(lines[0])[:LENGTH_MAX] if lines else type(error).__name__,
            expected="a tracking store that takes what it is given",
            fix="free space, or see to its server; then do the same again: nothing is doubled",
        ) from error
