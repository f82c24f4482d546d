"""The JSON Schema is good enough for an editor, and the reference says what the schema says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from controller.config.explain import as_model, bounds, item_type, plain
from controller.config.fields import unit_of
from controller.config.find import find_site
from controller.config.reference import reference_markdown
from controller.config.schema import SiteFile
from controller.config.yaml_text import read_yaml

ROOT = Path(__file__).resolve().parents[3]
SITES = sorted(path.stem for path in (ROOT / "site_configs").glob("*.yaml"))
TYPES = {"object": dict, "array": tuple, "string": str, "boolean": bool, "integer": int, "number": (int, float)}


def problems(value: Any, schema: dict[str, Any], defs: dict[str, Any], path: str = "") -> list[str]:
    """The part of JSON Schema that pydantic writes, checked from scratch."""
    if "$ref" in schema:
        return problems(value, defs[schema["$ref"].rsplit("/", 1)[-1]], defs, path)
    if "anyOf" in schema:
        tries = [problems(value, option, defs, path) for option in schema["anyOf"]]
        return [] if [] in tries else tries[0]
    if schema.get("type") == "null":
        return [] if value is None else [f"{path}: not null"]
    if not isinstance(value, TYPES[schema["type"]]) or (isinstance(value, bool) and schema["type"] != "boolean"):
        return [f"{path}: {value!r} is no {schema['type']}"]
    found = [f"{path}: not in enum"] if value not in schema.get("enum", [value]) else []
    if isinstance(value, (int, float)) and not schema.get("minimum", value) <= value <= schema.get("maximum", value):
        found.append(f"{path}: out of range")
    if isinstance(value, str) and not re.search(schema.get("pattern", ""), value):
        found.append(f"{path}: pattern")
    if isinstance(value, tuple):
        return found + [
            text for i, item in enumerate(value) for text in problems(item, schema["items"], defs, f"{path}[{i}]")
        ]
    return found + _object_problems(value, schema, defs, path) if isinstance(value, dict) else found


def _object_problems(value: dict[str, Any], schema: dict[str, Any], defs: dict[str, Any], path: str) -> list[str]:
    known, extra = schema.get("properties", {}), schema.get("additionalProperties")
    found = [f"{path}.{key}: missing" for key in schema.get("required", []) if key not in value]
    for key, item in value.items():
        inner = known.get(key) or (extra if isinstance(extra, dict) else None)
        found += [f"{path}.{key}: unknown"] if inner is None else problems(item, inner, defs, f"{path}.{key}")
    return found


@pytest.mark.parametrize("name", SITES)
def test_the_json_schema_accepts_the_shipped_sites(name: str) -> None:
    schema = SiteFile.model_json_schema()
    data = read_yaml(find_site(name).read_bytes()).data
    assert problems(data, schema, schema["$defs"]) == []


def test_the_json_schema_refuses_what_the_loader_refuses() -> None:
    schema = SiteFile.model_json_schema()
    data = read_yaml(find_site("ev_charging").read_bytes()).data
    data["control"] = {"cycle_s": 0, "cycles": 3}
    assert sorted(problems(data, schema, schema["$defs"])) == [
        ".control.cycle_s: out of range",
        ".control.cycles: unknown",
    ]


def all_fields(block: type[BaseModel]) -> list[tuple[str, Any]]:
    found = []
    for key, field in block.model_fields.items():
        found.append((f"{block.__name__}.{key}", field))
        inner = as_model(item_type(field.annotation))
        found += all_fields(inner) if inner is not None else []
    return found


FIELDS = all_fields(SiteFile)


@pytest.mark.parametrize(("key", "field"), FIELDS, ids=[key for key, _ in FIELDS])
def test_every_key_says_what_it_means_and_every_number_its_unit_and_range(key: str, field: Any) -> None:
    assert field.description
    assert field.description.endswith((".", ")"))
    if plain(field.annotation) in (int, float):
        assert unit_of(field)
        assert None not in bounds(field)


def test_the_reference_page_is_up_to_date() -> None:
    page = (ROOT / "site_configs" / "README.md").read_text(encoding="utf-8")
    assert page == reference_markdown(), "run: gridedge schema --markdown > site_configs/README.md"
