"""The record of curtailments as a Parquet file, and back to the texts that its fingerprints are about; needs pyarrow.

Instants are timestamps in UTC, energies, powers and times decimals with as many places as the record holds: unlike
floating-point numbers they come back digit by digit, so that the chain can be checked. What is empty is null. Read a
batch at a time: a record of years does not have to fit into memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from controller.history.chain import COLUMNS

BATCH = 8192
"""Entries that are in memory at a time."""
_UTC = "%Y-%m-%dT%H:%M:%SZ"
_TYPES: Mapping[str, tuple[Any, str]] = {
    "seq": (pa.int64(), "1"),
    "from_utc": (pa.timestamp("ms", tz="UTC"), "UTC"),
    "to_utc": (pa.timestamp("ms", tz="UTC"), "UTC"),
    "rank": (pa.int32(), "1"),
    "energy_wh": (pa.decimal128(18, 3), "Wh"),
    "most_w": (pa.decimal128(18, 1), "W"),
    "lasted_s": (pa.decimal128(18, 1), "s"),
    "loading_frac": (pa.decimal128(18, 4), "1"),
}
"""Type and unit by column; the others are text."""


def schema() -> Any:
    """Every column with its type, and with its ``unit`` in the column's metadata."""
    typed = {name: _TYPES.get(name, (pa.string(), "")) for name in COLUMNS}
    return pa.schema([pa.field(name, kind, metadata={"unit": unit}) for name, (kind, unit) in typed.items()])


def write(path: Path, rows: Iterable[Mapping[str, str]]) -> None:
    """Entries as :func:`controller.history.store.curtailments` gives them, all or nothing.

    Raises OSError for a file that cannot be written, ValueError for an entry that would not come back as it is.
    """
    entries, unfinished, columns = iter(rows), path.with_name(f"{path.name}.new"), schema()
    try:
        with pq.ParquetWriter(unfinished, columns, compression="zstd") as file:
            while batch := list(islice(entries, BATCH)):
                made = pa.RecordBatch.from_pydict({f.name: _column(batch, f) for f in columns}, schema=columns)
                _check(batch, made)
                file.write_batch(made)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def read(path: Path) -> Iterator[dict[str, str]]:
    """Entries as :func:`write` was given them; also of a file in which all of it, or any column, is text.

    Raises ValueError for a file that is no such record, OSError for one that cannot be read.
    """
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(BATCH):
            yield from _texts(batch, path.name)


def columns_of(path: Path) -> tuple[str, ...]:
    """The names of a file's columns. Raises ValueError (no Parquet file) or OSError."""
    with pq.ParquetFile(path) as file:
        return tuple(file.schema_arrow.names)


def _column(batch: list[Mapping[str, str]], field: Any) -> Any:
    return pa.array([_value(row, field.name) for row in batch], type=field.type)


def _value(row: Mapping[str, str], name: str) -> Any:
    text = row[name]
    if not text:
        return None
    try:
        if name in ("from_utc", "to_utc"):
            return datetime.strptime(text, _UTC).replace(tzinfo=UTC)
        if name in ("seq", "rank"):
            return int(text)
        return Decimal(text) if name in _TYPES else text
    except (ValueError, InvalidOperation) as error:
        raise ValueError(f"entry {row['seq']}: {name} is {text!r}; expected a {_TYPES[name][0]}") from error


def _check(batch: list[Mapping[str, str]], made: Any) -> None:
    """The file must give back what the fingerprints are about, or the record could not be proven by it."""
    for row, again in zip(batch, _texts(made, "the file"), strict=True):
        if any(row[name] != again[name] for name in COLUMNS):
            raise ValueError(f"entry {row['seq']} cannot be held by Parquet digit by digit; export it as CSV")


def _texts(batch: Any, where: str) -> Iterator[dict[str, str]]:
    columns = {name: _column_texts(batch.column(name), name, where) for name in batch.schema.names}
    for values in zip(*columns.values(), strict=True):
        yield dict(zip(columns, values, strict=True))


def _column_texts(column: Any, name: str, where: str) -> list[str]:
    kind = column.type
    if pa.types.is_timestamp(kind):
        instants = column.cast(pa.timestamp("ms", tz=kind.tz)).cast(pa.int64()).to_pylist()
        return ["" if ms is None else datetime.fromtimestamp(ms / 1e3, UTC).strftime(_UTC) for ms in instants]
    if pa.types.is_decimal(kind):
        return ["" if value is None else f"{value:f}" for value in column.to_pylist()]
    if pa.types.is_integer(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return ["" if value is None else str(value) for value in column.to_pylist()]
    raise ValueError(f"{where}: column {name} is {kind}; expected decimals or text, its digits are what is proven")
