"""The fail-safe screening against a real power flow (power-grid-model): it may be pessimistic, never hopeful."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from config_samples import SMALL, changed
from power_grid_model import LoadGenType, PowerGridModel, initialize_array

from controller.config.fail_safe_flow import unit_span
from controller.config.find import find_site
from controller.config.finding import SiteError
from controller.config.loader import Loaded, load, parse
from controller.config.physics_checks import fail_safe_proof
from controller.config.summary import summary
from controller.domain.topology import Topology

SITES = ("demo_primary", "secondary_rooftop", "ev_charging")

Injection = tuple[str, float, float]


def branch_currents_a(
    topology: Topology, injections: list[Injection], tap_pos: int
) -> tuple[dict[str, float], dict[str, float]]:
    """Largest current of every branch (a transformer's at its LV side), and every bus voltage."""
    index = {bus.id: number for number, bus in enumerate(topology.buses)}
    node = initialize_array("input", "node", len(index))
    node["id"], node["u_rated"] = range(len(index)), [bus.u_rated_v for bus in topology.buses]
    source = initialize_array("input", "source", 1)
    source["id"], source["node"], source["status"] = 900, index[topology.source.bus], 1
    source["u_ref"], source["sk"], source["rx_ratio"] = (
        topology.source.u_pu,
        topology.source.sk_va,
        topology.source.rx_ratio,
    )
    load_ = initialize_array("input", "sym_load", len(injections))
    load_["id"], load_["node"] = range(300, 300 + len(injections)), [index[bus] for bus, _, _ in injections]
    load_["status"], load_["type"] = 1, LoadGenType.const_power
    load_["p_specified"], load_["q_specified"] = [p for _, p, _ in injections], [q for _, _, q in injections]
    data = {"node": node, "source": source, "sym_load": load_}
    data |= {"line": _lines(topology, index), "transformer": _transformers(topology, index, tap_pos)}
    result = PowerGridModel(data, system_frequency=topology.f_hz).calculate_power_flow()
    lines = np.maximum(result["line"]["i_from"], result["line"]["i_to"])
    currents = {item.id: float(value) for item, value in zip(topology.lines, lines, strict=True)}
    at_lv = result["transformer"]["i_to"]
    currents |= {item.id: float(value) for item, value in zip(topology.transformers, at_lv, strict=True)}
    return currents, {bus.id: float(u) for bus, u in zip(topology.buses, result["node"]["u"], strict=True)}


def _lines(topology: Topology, index: dict[str, int]) -> np.ndarray:
    line = initialize_array("input", "line", len(topology.lines))
    line["id"] = range(100, 100 + len(topology.lines))
    line["from_node"], line["to_node"] = zip(
        *((index[x.from_bus], index[x.to_bus]) for x in topology.lines), strict=True
    )
    line["from_status"] = line["to_status"] = 1
    line["r1"], line["x1"] = [x.r_ohm for x in topology.lines], [x.x_ohm for x in topology.lines]
    line["c1"], line["tan1"] = [x.b_s / (2 * np.pi * topology.f_hz) for x in topology.lines], 0.0
    return line


def _transformers(topology: Topology, index: dict[str, int], tap_pos: int) -> np.ndarray:
    items = topology.transformers
    out = initialize_array("input", "transformer", len(items))
    out["id"] = range(200, 200 + len(items))
    out["from_node"], out["to_node"] = zip(*((index[x.hv_bus], index[x.lv_bus]) for x in items), strict=True)
    out["from_status"] = out["to_status"] = 1
    names = {"u1": "u1_v", "u2": "u2_v", "sn": "sn_va", "uk": "uk_pu", "pk": "pk_w", "i0": "i0_pu", "p0": "p0_w"}
    for key, name in (names | {"tap_min": "tap_min", "tap_max": "tap_max"}).items():
        out[key] = [getattr(x, name) for x in items]
    out["tap_side"], out["winding_from"], out["winding_to"], out["clock"] = 0, 2, 1, 5
    out["tap_pos"], out["tap_size"] = tap_pos, [x.tap_size_pu * x.u1_v for x in items]
    return out


def drawn_injections(loaded: Loaded, draw: random.Random) -> list[Injection]:
    """A credible state: every load and unit anywhere within its bounds, often at an edge."""

    def within(low: float, high: float) -> float:
        return draw.choice((low, high, draw.uniform(low, high)))

    found = []
    for load_ in loaded.file.network.loads:
        take_kw = within(load_.consumption_kw.min, load_.consumption_kw.max) if load_.consumption_kw else 0.0
        give_kw = within(load_.generation_kw.min, load_.generation_kw.max) if load_.generation_kw else 0.0
        q_kvar = take_kw * np.tan(np.arccos(load_.power_factor))
        found.append((load_.bus, (take_kw - give_kw) * 1e3, float(q_kvar) * 1e3))
    for unit in loaded.site.units:
        span = unit_span(unit)
        found.append((unit.bus, within(span.p_low_w, span.p_high_w), within(span.q_low_var, span.q_high_var)))
    return found


@pytest.mark.parametrize("name", SITES)
def test_no_credible_state_at_fail_safe_is_worse_than_the_screening_says(name: str) -> None:
    loaded = load(find_site(name))
    worst_a = {worst.limit.element: worst.value for worst in fail_safe_proof(loaded.file)}
    bands = {limit.element: limit.low for limit in loaded.site.limits if limit.low is not None}
    tap = loaded.site.topology.transformers[0]
    judged = 0
    for seed in range(150):
        draw = random.Random(seed)
        injections = drawn_injections(loaded, draw)
        currents, u_v = branch_currents_a(loaded.site.topology, injections, draw.randint(tap.tap_min, tap.tap_max))
        if any(u_v[bus] < low for bus, low in bands.items()):
            continue  # below the band that the screening assumes
        judged += 1
        for branch, current_a in currents.items():
            assert current_a <= worst_a[branch], f"seed {seed}: {branch} carries {current_a:.1f} A"
    assert judged >= 40


@pytest.mark.parametrize("name", SITES)
def test_every_limit_of_a_shipped_site_is_judged_and_holds_at_fail_safe(name: str) -> None:
    loaded = load(find_site(name))
    proof = {worst.limit.id: worst for worst in fail_safe_proof(loaded.file)}
    assert set(proof) == {limit.id for limit in loaded.site.limits if limit.low is None}
    assert all(worst.holds for worst in proof.values())


def test_the_demo_needs_its_controller() -> None:
    """At full generation the transformers of the demo are far beyond their limit: its fail-safe is what saves it."""
    loaded = load(find_site("demo_primary"))
    topology = loaded.site.topology
    injections = [(load_.bus, load_.p_min_w, 0.0) for load_ in topology.loads]
    injections += [(unit.bus, unit.p_min_w, 0.0) for unit in loaded.site.units]
    currents, _ = branch_currents_a(topology, injections, topology.transformers[0].tap_pos)
    assert currents["T1"] > 1.5 * topology.transformers[0].i_max_a


def test_transformers_side_by_side_share_by_admittance() -> None:
    second = (
        SMALL[SMALL.index("    - id: T1") : SMALL.index("  lines:")]
        .replace("T1", "T2")
        .replace("s_rated_mva: 5", "s_rated_mva: 10")
    )
    text = changed("  lines:\n", second + "  lines:\n")
    text = changed("    - branch: T1\n", "    - branch: T1\n    - branch: T2\n", text)
    text = changed("feeds: {p_w: -branch.L1.p_w", "feeds: {s_a: branch.T2.i_a, p_w: -branch.L1.p_w", text)
    text = changed("  export_kw: 3000\n", "", text)
    found = {worst.limit.element: worst.value for worst in fail_safe_proof(parse(text.encode(), "x", None).file)}
    assert found["T2"] == pytest.approx(2.0 * found["T1"])


def test_a_branch_inside_a_loop_is_not_judged_and_the_summary_says_so() -> None:
    ring = """\
    - {id: L2, from_bus: LV, to_bus: MID, length_km: 1, r_ohm_per_km: 0.2, x_ohm_per_km: 0.1, i_rated_a: 300}
    - {id: L3, from_bus: MID, to_bus: END, length_km: 1, r_ohm_per_km: 0.2, x_ohm_per_km: 0.1, i_rated_a: 300}
  loads:
"""
    text = changed("  loads:\n", ring)
    text = changed(
        "    - {id: END, u_nominal_kv: 11}\n",
        "    - {id: END, u_nominal_kv: 11}\n    - {id: MID, u_nominal_kv: 11}\n",
        text,
    )
    loaded = parse(text.encode(), "x", None)
    assert [worst.limit.element for worst in fail_safe_proof(loaded.file)] == ["T1", "interface"]
    said = summary(loaded)
    assert "in a loop: not judged at fail-safe" in said
    assert "not checked: device profiles" in said


def test_generation_that_nobody_controls_counts_against_the_export_limit() -> None:
    text = changed("consumption_kw: {min: 100", "generation_kw: {min: 0, expected: 50, max: 2500}, power_factor: 1}\n#")
    with pytest.raises(SiteError, match=r"limits\.export_kw: found 3500 kW left"):
        parse(text.encode(), "x", None)


def test_a_battery_cannot_be_counted_on_to_help() -> None:
    """Charging would ease an export limit, but a full battery does not charge."""
    text = changed("{generation_kw: 0}", "{consumption_kw: 1000}")
    text = changed("export_kw: 3000", "export_kw: 850", text)
    with pytest.raises(SiteError, match=r"limits\.export_kw"):
        parse(text.encode(), "x", None)


def test_a_site_file_is_found_by_its_bare_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_site("demo_primary").name == "demo_primary.yaml"
    (tmp_path / "site_configs").mkdir()
    (tmp_path / "site_configs" / "demo_primary.yaml").write_text(SMALL)
    assert find_site("demo_primary").read_text() == SMALL
    with pytest.raises(FileNotFoundError, match="ev_charging"):
        find_site("no_such_site")
