"""Topics of Sparkplug's namespace (3.0.0, chapter 4). They are made from the site file only, never from a message."""

from __future__ import annotations

from dataclasses import dataclass

NAMESPACE = "spBv1.0"


@dataclass(frozen=True, slots=True)
class Topics:
    """Those of one edge node; ``host`` is its primary host, empty for none."""

    group: str
    node: str
    host: str = ""

    def of(self, kind: str, device: str = "") -> str:
        """``spBv1.0/group/NDATA/node``, with the device at the end where the kind is one of devices."""
        return "/".join((NAMESPACE, self.group, kind, self.node, device)).removesuffix("/")

    @property
    def state(self) -> str:
        """Where the primary host says whether it is there."""
        return f"{NAMESPACE}/STATE/{self.host}"

    @property
    def subscriptions(self) -> tuple[str, ...]:
        """Commands to the node and to its devices (to refuse them), its own birth, the primary host's state."""
        ours = (self.of("NCMD"), self.of("DCMD", "+"), self.of("NBIRTH"))
        return (*ours, self.state) if self.host else ours
