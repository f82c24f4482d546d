"""Storage that obeys nobody may hear again at any moment: what it stands told by then must not break a limit."""

from __future__ import annotations

import core_kit as kit

EXPORT_W = 9e6  # of the kit's site; WIND and PV could send 10 MW while the battery charges with all that it can


def gone_deaf_while_charging() -> kit.Loop:
    """The battery went deaf, the wind dropped and came back: the surplus is now more than may leave without it."""
    loop = kit.Loop(kit.Plant(kit.site(), {"WIND": 8e6, "PV": 6e6, "HUB": 0.0}))
    loop.run(40)
    loop.plant.deaf.add("BAT")
    loop.plant.available_w["WIND"] = 1e6
    loop.run(40)
    return loop


def export_w(loop: kit.Loop) -> float:
    return -loop.plant.truth()["interface.p_w"]


def exports_w(loop: kit.Loop, cycles: int) -> list[float]:
    out = []
    for _ in range(cycles):
        loop.run(1)
        out.append(export_w(loop))
    return out


def test_a_charging_battery_that_hears_again_does_not_let_its_surplus_go_at_once() -> None:
    loop = gone_deaf_while_charging()
    loop.plant.available_w["WIND"] = 8e6
    loop.run(40)
    assert export_w(loop) > 0.98 * EXPORT_W
    loop.plant.deaf.clear()
    after_w = exports_w(loop, 30)
    assert max(after_w) < 1.01 * EXPORT_W, [round(w) for w in after_w]
    assert loop.plant.p_w("BAT") > 1.5e6
    assert [e.name for r in loop.records for e in r.events if e.subject == "BAT"] == ["unit.deaf", "unit.obeys"]


def test_a_deaf_battery_is_told_to_stop_where_no_limit_needs_it() -> None:
    loop = gone_deaf_while_charging()
    assert kit.of_unit(loop.records[-1], "BAT") == 0.0
    assert loop.plant.p_w("BAT") > 1.5e6  # what it does, for it does not hear
