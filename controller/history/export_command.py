"""``gridedge ledger`` and ``gridedge verify``: the record of curtailments for others, as CSV or Parquet."""

from __future__ import annotations

import csv
import sqlite3
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Protocol, TextIO

import click

from controller.durable import naming
from controller.history.chain import COLUMNS, FIRST_COLUMNS, verify
from controller.history.store import curtailments, open_to_read
from controller.readable_errors import readable_errors

PARQUET_MAGIC = b"PAR1"
STANDARD_INPUT = "-"


@click.command()
@click.option("--data", required=True, type=click.Path(path_type=Path, file_okay=False), help="Folder of the store.")
@click.option("--unit", help="Show this unit's entries only; of the others just what the chain needs.")
@click.option("--output", type=click.File("w", encoding="utf-8", lazy=True), default="-", help="CSV file to write.")
@click.option(
    "--parquet", type=click.Path(path_type=Path, dir_okay=False), help="Parquet file to write instead (extra parquet)."
)
def ledger(*, data: Path, unit: str | None, output: TextIO, parquet: Path | None) -> None:
    """Export the record of curtailments as CSV: who gave up how much, when, for which limit, in whose turn.

    `gridedge verify` proves that nothing in it was changed or left out. With --unit, an owner can prove the same
    without seeing what concerns others. --parquet holds the same in typed columns with units, digit by digit.
    """
    with readable_errors(sqlite3.Error), naming(data), closing(open_to_read(data)) as db:
        if parquet is not None:
            _parquet("--parquet").write(parquet, curtailments(db, unit))
            return
        lines = csv.DictWriter(output, COLUMNS, lineterminator="\n")
        lines.writeheader()
        lines.writerows(curtailments(db, unit))


@click.command(name="verify")
@click.argument("file")
@click.option("--head", help="Last fingerprint that is known from elsewhere: proves that nothing was cut off.")
def verify_command(file: str, *, head: str | None) -> None:
    """Check an exported record of curtailments: CSV (- reads standard input) or Parquet.

    Exit status 0: every entry is as it was written, and none is missing up to the last. 1: not so.
    """
    with readable_errors(sqlite3.Error), _opened(file) as (columns, rows):
        if columns not in (COLUMNS, FIRST_COLUMNS):
            raise ValueError(f"{file} has the columns {list(columns)}; expected {', '.join(COLUMNS)}")
        watched = _Watched(rows, head)
        verdict = verify(watched)
        if verdict.fault:
            raise ValueError(f"{file}: {verdict.fault}")
        if head is not None and not watched.met:
            raise ValueError(f"{file}: no entry has the fingerprint {head}; the record was cut off or rewritten")
    click.echo(f"{verdict.entries} entries, {verdict.shown} shown in full, unbroken; head {verdict.head}")


class CsvReader(Protocol):
    """What :func:`csv.reader` makes."""

    line_num: int

    def __iter__(self) -> Iterator[list[str]]:
        """Line by line."""
        ...


class _Watched:
    """Entries as they pass by; ``met`` once the one with that fingerprint has."""

    def __init__(self, rows: Iterable[Mapping[str, str]], head: str | None) -> None:
        self._rows, self._head = rows, head
        self.met = False

    def __iter__(self) -> Iterator[Mapping[str, str]]:
        for row in self._rows:
            self.met = self.met or row["chain"] == self._head
            yield row


@contextmanager
def _opened(file: str) -> Iterator[tuple[tuple[str, ...], Iterable[Mapping[str, str]]]]:
    """Columns and entries of an export, whichever it is. Raises OSError or ValueError."""
    if file == STANDARD_INPUT:
        yield _csv(sys.stdin, file)
        return
    with Path(file).open("rb") as start:
        is_parquet = start.read(len(PARQUET_MAGIC)) == PARQUET_MAGIC
    if is_parquet:
        parquet = _parquet(file)
        yield parquet.columns_of(Path(file)), parquet.read(Path(file))
        return
    with Path(file).open(encoding="utf-8", newline="\n") as text:
        yield _csv(text, file)


def _csv(text: TextIO, name: str) -> tuple[tuple[str, ...], Iterable[Mapping[str, str]]]:
    reader = csv.reader(text)
    try:
        columns = tuple(next(reader, ()))
    except csv.Error as error:
        raise ValueError(f"{name}: line 1: {error}; expected CSV") from error
    return columns, _rows(reader, columns, name)


def _rows(lines: CsvReader, columns: Sequence[str], name: str) -> Iterator[Mapping[str, str]]:
    """Entries of as many fields as there are columns: one that runs on into the next would hide it."""
    try:
        for fields in lines:
            if not fields:
                continue
            if len(fields) != len(columns):
                raise ValueError(f"{name}: line {lines.line_num} has {len(fields)} fields; expected {len(columns)}")
            yield dict(zip(columns, fields, strict=True))
    except csv.Error as error:
        raise ValueError(f"{name}: line {lines.line_num}: {error}; expected CSV") from error


def _parquet(what: str) -> ModuleType:
    """The reader and writer of Parquet files, which few boxes need. Raises ValueError where its library is not."""
    try:
        from controller.history import parquet
    except ModuleNotFoundError as missing:
        if missing.name != "pyarrow":
            raise
        raise ValueError(f"{what} needs pyarrow; expected the extra: pip install 'gridedge[parquet]'") from missing
    return parquet
