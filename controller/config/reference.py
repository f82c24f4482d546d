"""The reference of the site file, written from the schema itself, so that it cannot be out of date for long."""

from __future__ import annotations

import inspect
from typing import Any, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from controller.config.explain import as_model, expectation, item_type, plain
from controller.config.schema import SiteFile

INTRO = """# Site files

One file describes one site: its network, its controllable units, the devices that measure and command, and the limits
that must never be exceeded. `gridedge check <file or name>` says everything that is wrong with a file, with line and
reason, and proves that every limit that can be judged by sums holds when every unit sits at its fail-safe set point.
`gridedge schema` prints a JSON Schema for editors; `gridedge schema --markdown` prints this page.

| file | what it is |
|---|---|
| `demo_primary.yaml` | 33/11 kV primary substation with more wind and solar behind it than its transformers can carry |
| `secondary_rooftop.yaml` | 11/0.4 kV secondary substation with rooftop solar on every feeder and a community battery |
| `cold_transformer.yaml` | 33/11 kV wind farm whose transformer carries more when cold and less when hot |
| `ev_charging.yaml` | depot with two EV hubs, a roof and a battery behind an import limit at the connection point |

## How values are written

- **Units** are those of the field and stand at the end of the key (`_kw`, `_kva`, `_mva`, `_kv`, `_a`, `_percent`,
  `_s`, `_min`). Inside the controller everything is SI.
- **Directions** are words, not signs: `generation_kw` flows from a unit into the network, `consumption_kw` from the
  network into it, `export_kw` leaves the site, `import_kw` enters it; all of them are magnitudes. Reactive power is the
  one signed value: positive `q_kvar` absorbs (inductive).
- A branch counts positive from its source side to its load side. A line is measured at `from_bus`, a transformer at its
  lower-voltage side. A meter that counts the other way gets a `-` before its target: `{p_w: -branch.F4.p_w}`.
- **Points** are `branch.<id>.i_a`, `.p_w`, `.q_var` (transformers also `.top_oil_c`,
  `.hot_spot_c`, `.ambient_c`, `.tap_pos`), `bus.<id>.u_v`
  (line-to-line), `unit.<id>.p_w`, `.q_var`, `.p_avail_w` (what it could have, counted like `.p_w`: negative where it
  generates), `.soc_frac`, `.state`, `.p_set_w`, `.q_set_var`, of a
  hub `.vehicles` (how many are plugged in) and `.wanted_wh` (energy that they want), and
  `interface.p_w`, `.q_var` for the sum at the upstream connection, and the weather: `ambient.temp_c`,
  `ambient.wind_m_per_s`, `ambient.wind_deg` (where it comes from, east of north), `ambient.solar_w_per_m2`.
- **Numbers** are plain decimals (`0.5`, `12000`). What YAML readers disagree about is refused: `010`, `1:30`, `1e3`,
  `1_000`, `yes`/`no`/`on`/`off`, `.nan`, `.inf`; so are duplicate keys, anchors, aliases, merge keys, tags, unknown
  keys, numbers in quotes, and files above 1 MB.
- *required* in the column "default" means that the key must be there; *none* that it may be left out.
"""


def reference_markdown() -> str:
    """The whole page: every block, every key with unit, range, default and meaning."""
    return INTRO + "".join(_section(path, block) for path, block in _blocks("", SiteFile)) + "\n"


def _blocks(path: str, block: type[BaseModel]) -> list[tuple[str, type[BaseModel]]]:
    """The blocks below ``block``, depth first, with their key paths."""
    found: list[tuple[str, type[BaseModel]]] = []
    for key, field in block.model_fields.items():
        inner = as_model(item_type(field.annotation))
        if inner is not None:
            here = f"{path}.{key}".removeprefix(".") + ("[]" if _is_list(field) else "")
            found += [(here, inner), *_blocks(here, inner)]
    return found


def _is_list(field: FieldInfo) -> bool:
    return get_origin(plain(field.annotation)) is tuple


def _section(path: str, block: type[BaseModel]) -> str:
    rows = "\n".join(_row(key, field) for key, field in block.model_fields.items())
    head = "| key | accepts | default | meaning |\n|---|---|---|---|"
    return f"\n## `{path}`\n\n{inspect.getdoc(block)}\n\n{head}\n{rows}\n"


def _row(key: str, field: FieldInfo) -> str:
    cells = (f"`{key}`", expectation(field), _default(field.default, field), field.description or "")
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _default(value: Any, field: FieldInfo) -> str:
    if value is PydanticUndefined:
        return "*required*"
    if value is None or value in ("", (), {}):
        return "*none*"
    if as_model(field.annotation) is not None:
        return "its defaults"
    return f"{str(value).lower() if isinstance(value, bool) else value}"
