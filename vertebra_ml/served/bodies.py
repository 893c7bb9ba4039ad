"""Bodies that are small as sent and large once read: told by their own headers, before."""

from io import BytesIO
from typing import Any, Final

from vertebra_ml.errors import LimitError
from vertebra_ml.served.settings import BODY, MB

ROWS_MAX: Final = 100_000
DICTIONARIES: Final = {"PLAIN_DICTIONARY", "RLE_DICTIONARY"}


def check_parquet(body: bytes, bytes_max: int) -> None:
    """Raise LimitError where a parquet body holds more rows or bytes than may be read.

    Nulls, and values that come again and again, take no room as sent. Raises what pyarrow raises
    for a body that is no parquet.
    """
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    about = pq.ParquetFile(BytesIO(body)).metadata
    if about.num_rows > ROWS_MAX:
        raise _too(f"{about.num_rows:,} rows", f"at most {ROWS_MAX:,}")
    chunks = [
        about.row_group(i).column(j)
        for i in range(about.num_row_groups)
        for j in range(about.num_columns)
    ]
    held = sum(int(chunk.total_uncompressed_size) for chunk in chunks)
    if held <= bytes_max and sum(map(_most, chunks)) > bytes_max:
        held = _exactly(body, sorted({chunk.path_in_schema for chunk in chunks}))
    if held > bytes_max:
        raise _too(f"{held / MB:,.0f} MB once unpacked", f"at most {bytes_max / MB:,.0f} MB")


def _most(chunk: Any) -> int:
    """Return the most bytes that a part of a column can be: every row its whole dictionary."""
    size = int(chunk.total_uncompressed_size)
    return size * int(chunk.num_values) if DICTIONARIES & set(chunk.encodings) else size


def _exactly(body: bytes, columns: list[str]) -> int:
    """Return the bytes of all texts, counted without repeating any."""
    import pyarrow as pa
    import pyarrow.compute as pc  # type: ignore[import-untyped]
    import pyarrow.parquet as pq

    held = 0
    for column in pq.read_table(BytesIO(body), read_dictionary=columns).columns:
        for chunk in column.chunks:
            if pa.types.is_dictionary(chunk.type):
                lengths = pc.binary_length(chunk.dictionary)
                held += pc.sum(lengths.take(chunk.indices)).as_py() or 0
            else:
                held += chunk.nbytes
    return int(held)


def _too(found: str, expected: str) -> LimitError:
    return LimitError(
        "request", found=f"parquet of {found}", expected=expected,
        fix=f"send fewer scans at once, or raise {BODY}",
    )  # fmt: skip
