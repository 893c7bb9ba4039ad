"""How a served model refuses: one line in the body of a 4xx, and no stack trace, whoever refuses.

MLflow reads a request's body before the model sees it. Its own refusals carry a stack trace, a
body nested too deep ends in a 500, and CSV fails whenever a column may be text or bytes.
"""

import json
import sys
from collections.abc import Callable
from typing import Any, Final

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import BAD_REQUEST, TEMPORARILY_UNAVAILABLE

from vertebra_ml.errors import DatasetError, LimitError
from vertebra_ml.served.bodies import check_parquet
from vertebra_ml.served.gate import App, Gate
from vertebra_ml.served.settings import TIMEOUT, Settings

SERVER, APPLICATION = "mlflow.pyfunc.scoring_server", "mlflow.pyfunc.scoring_server.app"
CSV: Final = "text/csv"
PARQUET: Final = "application/vnd.apache.parquet"
EXAMPLE: Final = '{"dataframe_records": [{"path": "ct.nii.gz", "case": "a"}]}'


class RequestError(MlflowException):
    """A request of which no row could be answered; the body holds our lines and nothing else."""

    def __init__(self, errors: list[dict[str, object]], code: int = BAD_REQUEST) -> None:
        super().__init__(str(errors[0]["error"]), error_code=code)
        self.errors = errors

    def serialize_as_json(self) -> str:
        """Return the body. MLflow's own would repeat the request's data before our line."""
        first = str(self.errors[0]["error"])
        return json.dumps({"error_code": self.error_code, "message": first, "errors": self.errors})


def refuse_request(found: str, expected: str) -> RequestError:
    """Return the refusal of a request as a whole."""
    line = str(
        DatasetError("request", found=found, expected=expected, fix=f"for example {EXAMPLE}")
    )
    return RequestError([{"row": None, "case": None, "error": line}])


def took_too_long(limit_s: float) -> RequestError:
    """Return the refusal of a request whose time is over before it was answered whole."""
    line = LimitError(
        "request", found=f"no answer within {limit_s:g} s", expected="an answer in that time",
        fix=f"send fewer scans at once, start more workers, or raise {TIMEOUT}",
    )  # fmt: skip
    row: dict[str, object] = {"row": None, "case": None, "error": str(line)}
    return RequestError([row], TEMPORARILY_UNAVAILABLE)


def refuse_plainly(settings: Settings) -> None:
    """Within a scoring server, put our refusals in the place of MLflow's own; else do nothing."""
    if APPLICATION in sys.modules:
        server: Any = sys.modules[SERVER]
        if not hasattr(server.invocations, "plain"):
            server.invocations = plain(server.invocations, settings.body_max)
            _stand_before(settings)


def _stand_before(settings: Settings) -> None:
    """Let the application that MLflow is about to make answer behind our gate."""
    import fastapi

    class Gated(fastapi.FastAPI):
        def build_middleware_stack(self) -> App:
            return Gate(super().build_middleware_stack(), settings)

    fastapi.FastAPI = Gated  # type: ignore[misc]


def plain(invocations: Callable[..., Any], bytes_max: int) -> Callable[..., Any]:
    """Return MLflow's handler of a request with its errors told in our way."""

    def told(data: bytes, content_type: str | None, model: Any, schema: Any) -> Any:
        kind = (content_type or "").split(";")[0].strip()
        try:
            if kind == PARQUET:
                check_parquet(data, bytes_max)
            # A column of text or bytes has no type for pandas: CSV is read without the schema.
            return invocations(data, content_type or "", model, None if kind == CSV else schema)
        except RequestError:
            raise
        except LimitError as error:
            line: dict[str, object] = {"row": None, "case": None, "error": str(error)}
            raise RequestError([line]) from None
        except Exception as error:  # noqa: BLE001  whatever a body makes its parsers raise
            raise refuse_request(
                f"a body that cannot be read as {kind or 'anything'} ({type(error).__name__})",
                "a table as JSON (dataframe_records or dataframe_split), CSV or parquet",
            ) from None

    told.plain = True  # type: ignore[attr-defined]
    return told
