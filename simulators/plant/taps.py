"""All tap changers of the station: one relay per busbar, moving that busbar's parallel transformers together."""

from __future__ import annotations

from controller.domain.topology import Topology
from simulators.plant.avc import Avc, AvcSettings
from simulators.plant.network import PlantNetwork
from simulators.units.course import Array


class TapControl:
    """Relays for every busbar whose transformers have taps; a transformer without range keeps its position."""

    def __init__(self, topology: Topology, settings: AvcSettings, network: PlantNetwork) -> None:
        self._network = network
        self.positions = [item.tap_pos for item in topology.transformers]
        place = {bus.id: k for k, bus in enumerate(topology.buses)}
        groups: dict[int, list[int]] = {}
        for k, item in enumerate(topology.transformers):
            if settings.on_load and item.tap_max > item.tap_min and item.tap_size_pu > 0.0:
                groups.setdefault(place[item.lv_bus], []).append(k)
        self._relays = [(bus, members, _relay(topology, members, settings)) for bus, members in groups.items()]

    def step(self, u_pu: Array, dt_s: float) -> bool:
        """Advance all relays with the bus voltages (pu); True when any transformer has changed its tap."""
        changed = False
        for bus, members, relay in self._relays:
            if relay.step(float(u_pu[bus]), dt_s):
                changed = True
                for k in members:
                    self.positions[k] = relay.tap_pos
                    self._network.set_tap(k, relay.tap_pos)
        return changed

    def settle(self, u_pu: Array) -> bool:
        """One tap towards the target without waiting, for the state that a world starts in; True when it moved."""
        return self.step(u_pu, 1e9)


def _relay(topology: Topology, members: list[int], settings: AvcSettings) -> Avc:
    items = [topology.transformers[k] for k in members]
    return Avc(settings, items[0].tap_pos, max(item.tap_min for item in items), min(item.tap_max for item in items))
