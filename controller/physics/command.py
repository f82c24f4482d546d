"""``gridedge thermal``: compute a thermal case that is described in a file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TextIO

import click

from controller import documents
from controller.documents import DocumentError
from controller.physics.conductor_case import conductor_results, is_conductor_file
from controller.physics.transformer_case import TransformerCase, read_series, read_steps, results, states


@click.command()
@click.argument("file", type=click.File("r", encoding="utf-8"))
def thermal(file: TextIO) -> None:
    """Compute the temperatures and ageing of a transformer, or the current of a conductor, described in FILE.

    FILE is JSON (- reads standard input): a transformer with `parameters` and either `inputs` (t_min, load_pu,
    ambient_C) or `steps` of load, after IEC 60076-7; or blocks `ieee738` and `cigre601_example_…`. Prints JSON.
    """
    try:
        document = documents.parse(file.read())
        if not isinstance(document, Mapping):
            raise DocumentError(f"expected a JSON object, found {type(document).__name__}")
        click.echo(json.dumps(rounded(compute(document)), indent=1))
    except (ValueError, OverflowError) as error:
        raise click.ClickException(f"{file.name}: {error}") from error


def compute(document: Mapping[str, Any]) -> dict[str, Any]:
    """The results of any kind of file. Raises ``DocumentError`` when it is none of them."""
    if is_conductor_file(document):
        return conductor_results(document)
    if "steps" in document:
        return _step_results(document, read_steps(document))
    if "inputs" in document:
        return results(read_series(document))
    raise DocumentError("expected `inputs`, `steps` or `ieee738`; found none of them")


def rounded(value: Any) -> Any:
    """The same with ten significant digits: enough for every comparison, short enough to read."""
    if isinstance(value, float):
        return float(f"{value:.10g}")
    if isinstance(value, list):
        return [rounded(item) for item in value]
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    return value


def _step_results(document: Mapping[str, Any], case: TransformerCase) -> dict[str, Any]:
    """Temperatures at the end of every step."""
    ends = states(case)[1:]
    steps = [
        {
            "t_from_min": given["t_from_min"],
            "t_to_min": given["t_to_min"],
            "load_pu": given["load_pu"],
            "exact_top_oil_C": state.top_oil_c,
            "exact_hot_spot_C": state.hot_spot_c,
        }
        for given, state in zip(document["steps"], ends, strict=True)
    ]
    return {
        "steps": steps,
        "top_oil_C": [state.top_oil_c for state in ends],
        "hot_spot_C": [state.hot_spot_c for state in ends],
    }
