"""Finding the chain of models of a SunSpec device: bytes in, next read out; no socket, no clock.

The chain starts at one of three bases with the marker ``SunS``; every model begins with its ID and its length L, and
the next one follows at once. Bounds: registers end at 65535, at most :data:`MODELS_MAX` models, the end is ID 0xFFFF.
A chain that breaks any of them is no chain, because all that stands behind the break would be guessed.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass

from drivers.sunspec.definitions import HEADER, model

BASES = (40000, 0, 50000)
MARKER = 0x53756E53  # "SunS"
MODELS_MAX = 100
END_ID = 0xFFFF


@dataclass(frozen=True, slots=True)
class ModelAt:
    """A model of one device: ``address`` of its ID register (0-based) and its length L."""

    id: int
    address: int
    length: int

    @property
    def end(self) -> int:
        """Address of what comes after it."""
        return self.address + HEADER + self.length


@dataclass(frozen=True, slots=True)
class Chain:
    """All models of one device, in order, found at ``base``."""

    base: int
    models: tuple[ModelAt, ...]

    @property
    def end(self) -> int:
        """Address of the end marker."""
        return self.models[-1].end if self.models else self.base + 2

    def find(self, model_id: int) -> tuple[ModelAt, ...]:
        """Every model of that id."""
        return tuple(found for found in self.models if found.id == model_id)


def standard_chain(model_ids: Iterable[int], base: int = BASES[0]) -> Chain:
    """The chain of these models at their defined lengths; ValueError for a model that has no definition."""
    address, models = base + 2, []
    for model_id in model_ids:
        definition = model(model_id)
        if definition is None:
            raise ValueError(f"SunSpec model {model_id} has no definition")
        models.append(ModelAt(model_id, address, definition.length))
        address = models[-1].end
    return Chain(base, tuple(models))


class ChainWalk:
    """One discovery. Read :attr:`wanted`, hand the answer to :meth:`take` (or the refusal to :meth:`refuse`), repeat.

    Over when :attr:`wanted` is None: then either :attr:`chain` is set or :attr:`fault` says what is wrong.
    """

    def __init__(self, bases: tuple[int, ...] = BASES) -> None:
        self.chain: Chain | None = None
        self.fault = ""
        self._bases = list(bases)
        self._tried: list[str] = []
        self._models: list[ModelAt] = []
        self._address = self._bases[0]
        self._at_base = True

    @property
    def wanted(self) -> tuple[int, int] | None:
        """Address and number of the holding registers to read next."""
        if self.chain is not None or self.fault:
            return None
        return self._address, 2

    def take(self, data: bytes) -> None:
        """Go on with the answer to :attr:`wanted`."""
        if self._at_base:
            (marker,) = struct.unpack(">I", data)
            if marker == MARKER:
                self._at_base, self._address = False, self._address + 2
            else:
                self._next_base(f"reads 0x{marker:08X}")
            return
        model_id, length = struct.unpack(">HH", data)
        self._header(model_id, length)

    def refuse(self, text: str) -> None:
        """Go on after the device refused to read :attr:`wanted`."""
        if self._at_base:
            self._next_base(text)
        else:
            self.fault = f"the SunSpec chain breaks off at {self._address}: {text}"

    def _next_base(self, text: str) -> None:
        self._tried.append(f"{self._bases.pop(0)}: {text}")
        if self._bases:
            self._address = self._bases[0]
        else:
            self.fault = f"no SunSpec marker ({'; '.join(self._tried)})"

    def _header(self, model_id: int, length: int) -> None:
        if model_id == END_ID:
            self.chain = Chain(self._bases[0], tuple(self._models))
            return
        found = ModelAt(model_id, self._address, length)
        if model_id == 0 or length == 0:
            self.fault = f"the SunSpec chain has model {model_id} of length {length} at {self._address}"
        elif len(self._models) == MODELS_MAX:
            self.fault = f"the SunSpec chain has more than {MODELS_MAX} models"
        elif found.end + HEADER > 65536:
            self.fault = f"SunSpec model {model_id} at {self._address} has length {length} and leaves the registers"
        else:
            self._models.append(found)
            self._address = found.end
