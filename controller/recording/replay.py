"""Every recorded cycle thought again by the present code, from the recorded memory, and compared bit by bit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from controller.control.cycle import step
from controller.control.engine import Engine
from controller.control.state import ControlState, initial_state
from controller.domain.record import CycleRecord
from controller.domain.site import Site
from controller.recording.codec import CodecError, Tree, to_tree
from controller.recording.differences import Difference, differences
from controller.recording.format import Header, snapshot_from_tree, state_from_tree, state_to_tree
from controller.recording.reader import Checkpoint, Damage, Gap, Item, RecordedCycle


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be different from the recording: another site, or some numbers of the law by their name."""

    site: Site | None = None
    tuning: Mapping[str, float] = field(default_factory=dict)

    @property
    def any(self) -> bool:
        """True when something is."""
        return self.site is not None or bool(self.tuning)


@dataclass(frozen=True, slots=True)
class Replayed:
    """One cycle: ``recorded`` as the file has it (a tree), ``record`` as it comes out now, and where they differ."""

    now_s: float
    recorded: Tree
    record: CycleRecord
    differences: tuple[Difference, ...]


@dataclass(frozen=True, slots=True)
class Note:
    """Something about the recording that its reader must know."""

    text: str


Result = Header | Replayed | Note


class ReplayError(ValueError):
    """This recording cannot be thought again, with the reason."""


def replay(items: Iterable[Item], change: Change = Change()) -> Iterator[Result]:
    """Think again; yields the header of every section, each cycle, and notes. Raises ReplayError and CodecError."""
    thinker = _Thinker(change)
    for item in items:
        if isinstance(item, Header):
            thinker.begin(item)
            yield item
        elif isinstance(item, Checkpoint):
            yield from thinker.checkpoint(item.tree)
        elif isinstance(item, RecordedCycle):
            yield thinker.think(item)
        elif isinstance(item, Damage):
            thinker.forget()
            yield Note(item.text)
        else:
            thinker.forget()
            yield Note(_lost(item))


def from_second(items: Iterable[Item], from_s: float) -> Iterator[Item]:
    """``items`` from the last checkpoint before the first cycle at or after ``from_s`` on."""
    header: Header | None = None
    held: list[Item] = []
    begun = False
    for item in items:
        if begun:
            yield item
        elif isinstance(item, RecordedCycle) and float(item.record["now_s"]) >= from_s:
            begun = True
            yield from ([header] if header is not None else [])
            yield from held
            yield item
        elif isinstance(item, Header):
            header, held = item, []
        elif isinstance(item, Checkpoint):
            held = [item]
        else:
            held.append(item)


def _lost(gap: Gap) -> str:
    return f"{gap.lost} cycles were not recorded" if gap.lost else "the loop began anew"


class _Thinker:
    """The memory between two cycles, and the rules for taking it from the recording."""

    def __init__(self, change: Change) -> None:
        self._change = change
        self._recorded: Header | None = None
        self._engine: Engine | None = None
        self._state: ControlState | None = None

    def begin(self, header: Header) -> None:
        """A new section: the memory goes on when it is about the same site and tuning."""
        before, self._recorded = self._recorded, header
        if before is not None and (before.site_sha256, before.tuning) == (header.site_sha256, header.tuning):
            return
        site = self._change.site or header.site
        self._engine = Engine(site, replace(header.tuning, **self._change.tuning))
        self._state = None

    def forget(self) -> None:
        """What comes next does not follow from what was before."""
        self._state = None

    def checkpoint(self, tree: Tree) -> Iterator[Note]:
        """Take the memory from the recording where there is none; else say when it is not the same."""
        engine = self._engine_of("a checkpoint")
        if self._state is not None and self._state.seq == tree.get("seq"):
            if not self._change.any and (found := differences(tree, state_to_tree(self._state))):
                yield Note(f"the memory differs from the recorded one before cycle {tree['seq']}: {found[0].text}")
            return
        if not self._fits(engine.site):
            yield Note("the site has other elements than the recorded one: begins with an empty memory")
            self._state = replace(initial_state(engine.site, engine.tuning), seq=int(tree["seq"]))
            return
        self._state = self._restored(tree, engine)

    def think(self, cycle: RecordedCycle) -> Replayed:
        """One cycle."""
        engine = self._engine_of("a cycle")
        if self._state is None:
            raise ReplayError("a cycle comes before the first checkpoint; expected the recording to begin with one")
        snapshot = snapshot_from_tree(cycle.snapshot)
        self._state, record = step(engine.site, self._state, snapshot)
        return Replayed(snapshot.now_s, cycle.record, record, differences(cycle.record, to_tree(record)))

    def _engine_of(self, what: str) -> Engine:
        if self._engine is None:
            raise ReplayError(f"{what} comes before the header; expected the recording to begin with one")
        return self._engine

    def _fits(self, site: Site) -> bool:
        """Whether a memory of the recorded site has the shape of one of ``site``."""
        return self._recorded is not None and _elements(site) == _elements(self._recorded.site)

    def _restored(self, tree: Tree, engine: Engine) -> ControlState:
        try:
            return state_from_tree(tree, engine)
        except CodecError as error:
            if tree.get("seq") == 0:
                return initial_state(engine.site, engine.tuning)
            version = self._recorded.gridedge if self._recorded is not None else "another version"
            raise ReplayError(
                f"the memory of gridedge {version} before cycle {tree.get('seq')} does not fit this version ({error}); "
                "expected a recording from its first cycle on, or the version that made it"
            ) from error


def _elements(site: Site) -> list[list[str]]:
    """Ids of everything that the memory holds numbers about, in order."""
    topology = site.topology
    named = (topology.buses, topology.branches, topology.loads, site.units, site.limits)
    return [[element.id for element in kind] for kind in named]
