"""Where commands are judged: every verdict is on the disk, with the book that follows from it, before it counts."""

from __future__ import annotations

import hashlib
import math
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from controller.balancing.admission import Accepted, Authorities, Book, Now, admit, withdrawn, without_expired
from controller.balancing.book_text import describe, dump_book, load_book
from controller.balancing.command import Command
from controller.balancing.ledger import JUDGED_MAX, Entry, Ledger, Waiting
from controller.domain.budget import Allowance, Spent, spend
from controller.domain.site import Site

JUDGED_PER_HOUR = Allowance(2000.0, 3600.0)
"""Verdicts stay on the disk for good, so nobody may have more of them; what is asked for beyond it waits its turn."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was decided about a command; ``reason`` is empty when it was accepted.

    ``over`` is set when it had ended before: then nobody waits for an answer.
    """

    command: str
    issuer: str
    accepted: bool
    reason: str
    over: bool = False


Reply = Callable[[Verdict, str], Waiting | None]
"""Puts a verdict into the words of a protocol; the text is a name that no other version of any command has."""


def no_reply(_verdict: Verdict, _name: str) -> None:
    """For those who want no answer."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A command that no mapper could read: what can be said of it, and why."""

    id: str
    issuer: str
    reason: str
    content: str


class CommandDesk:
    """The book of one site with its record; used by one thread only. Raises sqlite3.Error when the disk refuses.

    A book on the disk that makes no sense is refused whole: nothing stands then, and ``trouble`` says why. ``desks``
    may command; the platform's, unless others are given.
    """

    def __init__(self, site: Site, ledger: Ledger, now: Now, desks: Authorities | None = None) -> None:
        self._site = site
        self._desks = desks
        self._ledger = ledger
        self._judged: OrderedDict[str, None] = OrderedDict.fromkeys(ledger.judged())
        self._spent: Spent | None = None
        self.trouble = ""
        self.book = self._remembered(now)

    def judge(self, asked: Iterable[Command | Unreadable], now: Now, reply: Reply = no_reply) -> list[Verdict]:
        """Verdicts about what is new, in the order of issue; what was judged in the same words before is not.

        Their replies are on the disk with them. What is more than :data:`JUDGED_PER_HOUR` is not judged yet: whoever
        still asks for it is heard later, and first come the commands that can be read.
        """
        found = self._affordable([one for one in sorted(asked, key=_turn) if self._is_new(one)], now)
        names = [_fingerprint(one) for one in found]
        verdicts, entries, book = [], [], self.book
        for one in found:
            book, verdict = self._judged_one(one, book, now)
            verdicts.append(verdict)
            entries.append(_entry(one, verdict, now))
        if entries:
            replies = [reply(verdict, name) for verdict, name in zip(verdicts, names, strict=True)]
            self._ledger.write(entries, dump_book(book, now), names, [x for x in replies if x is not None])
            self.book = book
        self._remember(names)
        return verdicts

    def _affordable(self, found: list[Command | Unreadable], now: Now) -> list[Command | Unreadable]:
        """What there is room on the disk for now, in its order."""
        chosen: set[int] = set()
        for i in sorted(range(len(found)), key=lambda i: isinstance(found[i], Unreadable)):
            account = spend(JUDGED_PER_HOUR, self._spent, now.now_s)
            if account is None:
                break
            self._spent = account
            chosen.add(i)
        return [one for i, one in enumerate(found) if i in chosen]

    def _judged_one(self, one: Command | Unreadable, book: Book, now: Now) -> tuple[Book, Verdict]:
        if isinstance(one, Unreadable):
            return book, Verdict(one.id, one.issuer, False, one.reason)
        outcome = admit(self._site, one, book, now, self._desks)
        over = one.expires_utc_s <= now.utc_s
        if isinstance(outcome, Accepted):
            return outcome.book, Verdict(one.id, one.issuer, True, "", over)
        return book, Verdict(one.id, one.issuer, False, outcome.reason, over)

    def withdraw(self, commands: Iterable[Command], now: Now) -> None:
        """Their issuers have taken these back."""
        entries, book = [], self.book
        for command in commands:
            book = withdrawn(book, command.issuer, command.id)
            entries.append(_event(command, "withdrawn", "the platform lists it no more", now))
        self._keep(entries, book, now)

    def expire(self, now: Now) -> tuple[Command, ...]:
        """End what has ended; what that was."""
        book, gone = without_expired(self.book, now)
        self._keep([_event(command, "expired", "", now) for command in gone], book, now)
        return gone

    def _remembered(self, now: Now) -> Book:
        text = self._ledger.book()
        if text is None:
            return Book()
        try:
            return load_book(text, now)
        except (ValueError, TypeError, KeyError) as error:
            self.trouble = f"the book of commands makes no sense: {error!r}; nothing stands"
            return Book()

    def _keep(self, entries: list[Entry], book: Book, now: Now) -> None:
        if entries:
            self._ledger.write(entries, dump_book(book, now))
            self.book = book

    def _is_new(self, one: Command | Unreadable) -> bool:
        return _fingerprint(one) not in self._judged and not any(a.command == one for a in self.book.standing)

    def _remember(self, names: Iterable[str]) -> None:
        self._judged.update(dict.fromkeys(names))
        while len(self._judged) > JUDGED_MAX:
            self._judged.popitem(last=False)


def _turn(one: Command | Unreadable) -> tuple[int, str]:
    return (one.counter, one.id) if isinstance(one, Command) else (-1, one.id)


def _fingerprint(one: Command | Unreadable) -> str:
    text = repr(one)
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()


def _entry(one: Command | Unreadable, verdict: Verdict, now: Now) -> Entry:
    content = describe(one) if isinstance(one, Command) else one.content
    counter = str(one.counter) if isinstance(one, Command) else ""
    word = "accepted" if verdict.accepted else "refused"
    return Entry(_utc(now), one.issuer, one.id, counter, word, verdict.reason, content)


def _event(command: Command, verdict: str, reason: str, now: Now) -> Entry:
    return Entry(_utc(now), command.issuer, command.id, str(command.counter), verdict, reason, "")


def _utc(now: Now) -> float | None:
    return now.utc_s if math.isfinite(now.utc_s) else None
