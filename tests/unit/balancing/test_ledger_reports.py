"""An answer to the platform is on the disk with the verdict, and stays there until the platform has it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import platform_kit as kit

from controller.balancing.desk import CommandDesk, Verdict
from controller.balancing.ledger import REPORTS_MAX, Ledger, Waiting


def reply(verdict: Verdict, name: str) -> Waiting:
    return Waiting(verdict.command, f"{verdict.reason[:12]}|{name}", answers=True)


def test_a_verdict_and_its_answer_outlive_a_kill_and_neither_comes_twice(tmp_path: Path) -> None:
    asked = [kit.limit(), kit.limit(99e6, id="e2", counter=8)]
    with closing(Ledger(tmp_path)) as ledger:
        assert len(CommandDesk(kit.SITE, ledger, kit.NOW).judge(asked, kit.NOW, reply)) == 2
    said = []
    with closing(Ledger(tmp_path)) as ledger:
        assert CommandDesk(kit.SITE, ledger, kit.NOW).judge(asked, kit.NOW, reply) == []
        while (report := ledger.waiting()) is not None:
            said.append((report.about, report.text.split("|")[0]))
            ledger.confirmed(report)
    assert said == [("e1", ""), ("e2", "out of range")]


def test_each_version_of_an_event_has_an_answer_with_a_name_of_its_own(tmp_path: Path) -> None:
    names = []
    with closing(Ledger(tmp_path)) as ledger:
        desk = CommandDesk(kit.SITE, ledger, kit.NOW)
        for counter in (7, 8):
            desk.judge([kit.limit(counter=counter)], kit.NOW, lambda _, name: names.append(name))
    assert len(set(names)) == 2


def test_when_too_many_reports_wait_the_oldest_measurements_go_first(tmp_path: Path) -> None:
    with closing(Ledger(tmp_path)) as ledger:
        ledger.queue([Waiting("e1", "answer", answers=True)])
        ledger.queue([Waiting("e1", f"m{k}", answers=False) for k in range(REPORTS_MAX)])
        texts = []
        while (report := ledger.waiting()) is not None and len(texts) < 3:
            texts.append(report.text)
            ledger.confirmed(report)
    assert texts == ["answer", "m1", "m2"]
