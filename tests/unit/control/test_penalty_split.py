"""The bill of a course says which part of a penalty no order could have saved."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

BENCHMARKS = str(Path(__file__).resolve().parents[3] / "benchmarks")
ACTUATOR = {"latency_s": 0.7, "tau_p_s": 1.0, "tau_q_s": 0.5}


@pytest.fixture
def bill(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.syspath_prepend(BENCHMARKS)
    from law.explain import Bill

    unit = {"id": "PV", "cost_eur_per_mwh": 50.0, "actuator": ACTUATOR}
    cfg = {
        "objective": {"overload_eur_per_mvah": 0.0, "voltage_eur_per_pu_s": 20.0},
        "control_period_s": 1.0,
        "measurement": {"latency_s": 0.5},
    }
    yield Bill(
        SimpleNamespace(
            ders=[unit], cfg=cfg, branches=["T1"], i_max=np.ones(1), v_max=np.array([1.1]), v_min=np.array([0.9]),
            net={"buses": [{"id": "A4"}]},
        )
    )  # fmt: skip
    for name in [n for n in sys.modules if n == "law" or n.startswith("law.")]:
        del sys.modules[name]


def run(bill: Any, u_pu: list[float], from_s: float, step_s: float = 0.1) -> None:
    pu_s = 0.0
    for k, u in enumerate(u_pu):
        pu_s += max(u - 1.1, 0.0) * step_s
        acc = SimpleNamespace(kvah=0.0, pus=pu_s)
        bill.look(SimpleNamespace(t=from_s + k * step_s, i=np.array([0.5]), v=np.array([u]), acc=acc))


def test_a_step_costs_something_before_any_order_can_act(bill: Any) -> None:
    # From 10.1 s on: in the sample of 10.5 s, in the orders of 11 s, which act from 11.7 s on and have acted by 14.7 s.
    run(bill, [1.12] * 100, 10.1)
    unanswerable, answering, late = bill.spells[0].eur
    per_s = 0.02 * 20.0
    assert unanswerable == pytest.approx(1.7 * per_s, abs=0.05)
    assert answering == pytest.approx(3.0 * per_s, abs=0.05)
    assert late == pytest.approx((100 * 0.1 - 4.7) * per_s, abs=0.05)


def test_a_limit_that_was_kept_for_a_while_breaks_anew(bill: Any) -> None:
    run(bill, [1.12] * 5 + [1.0] * 30 + [1.11] * 5, 10.0)
    assert [round(s.start_s, 1) for s in bill.spells] == [10.0, 13.5]
    assert bill.spells[0].where == "bus A4"


def test_the_lines_add_up_to_the_penalty(bill: Any) -> None:
    run(bill, [1.12] * 10, 10.0)
    report = {"curtailed_by_der_mwh": {"PV": 0.1}, "battery_eur": 0.0, "soc_deficit_eur": 0.0, "q_request_eur": 0.0}
    lines = list(bill.lines(report, {"curtailed_by_der_mwh": {"PV": 0.06}}))
    assert "penalty 0.400 EUR in 1 spells" in lines[0]
    assert "5.000 EUR, optimum     3.000, more    +2.000" in lines[-1]
