"""Who may import whom. The import contracts in pyproject.toml check chains; these check every single import."""

from __future__ import annotations

import pytest
from source_tree import CORE, PACKAGES, imports, modules, report, within

NOT_IN_CORE = ("asyncio", "time", "random", "os", "logging", "structlog", "yaml", "pymodbus", "asyncua", "socket")

# library: the only modules of the product that may import it
ONE_HOME = {
    "pymodbus": ("simulators.adapters.modbus_server",),
    "aiomqtt": ("controller.balancing.mqtt.connection", "simulators.platform.notifier"),
    "paho": (),
    "asyncua": ("drivers.opcua.session", "simulators.adapters.opcua_server"),
    "nacl": ("controller.balancing.uftp.wire",),
    "shapeshifter_uftp": (
        "controller.balancing.uftp.reading",
        "controller.balancing.uftp.wire",
        "controller.balancing.uftp.writing",
        "simulators.platform.dealer",
        "simulators.platform.reference_operator",
        "simulators.platform.uftp_aggregator",
    ),
    "xsdata": (
        "controller.balancing.uftp.reading",
        "controller.balancing.uftp.wire",
        "controller.balancing.uftp.writing",
    ),
}


def breaches(allowed: dict[str, tuple[str, ...]], importers: tuple[str, ...], imported: tuple[str, ...]) -> list[str]:
    """Imports of ``imported`` in ``importers``, except by the modules that are allowed to, as places."""
    return [
        f"{module.place(line)} imports {name}"
        for module in modules()
        if module.inside(*importers)
        for name, line in imports(module)
        if within(name, *imported) and not module.inside(*allowed.get(name.split(".")[0], ()))
    ]


def test_the_core_has_no_clock_no_socket_and_no_log() -> None:
    found = breaches({}, CORE, NOT_IN_CORE)
    assert not found, report(found)


@pytest.mark.parametrize("library", sorted(ONE_HOME))
def test_a_library_is_imported_only_where_it_is_wrapped(library: str) -> None:
    found = breaches(ONE_HOME, PACKAGES, (library,))
    assert not found, report(found)


def test_drivers_know_only_the_domain_and_the_ports() -> None:
    known = ("controller.domain", "controller.ports")
    found = [place for place in breaches({}, ("drivers",), ("controller",)) if not within(place.split()[-1], *known)]
    assert not found, report(found)


def test_only_the_composition_root_knows_drivers() -> None:
    found = [
        place for place in breaches({}, ("controller",), ("drivers",)) if not place.startswith("controller/app.py:")
    ]
    assert not found, report(found)


def test_the_product_does_not_know_its_simulators_or_its_tests() -> None:
    found = breaches({}, ("controller", "drivers"), ("simulators", "tests"))
    assert not found, report(found)


def test_the_simulated_world_is_not_built_from_the_controllers_own_model() -> None:
    own_model = ("controller.physics", "controller.grid", "controller.limits", "controller.control")
    found = breaches({}, ("simulators",), own_model)
    assert not found, report(found)


def test_the_guard_shares_no_code_with_what_it_checks() -> None:
    found = [
        place
        for place in breaches({}, ("controller.control.guard",), ("controller",))
        if not within(place.split()[-1], "controller.domain")
    ]
    assert not found, report(found)


def own_package(module: str) -> tuple[str, ...]:
    """The package of a limit that is more than one file."""
    package = module.rpartition(".")[0]
    return (package,) if package.startswith("controller.limits.") else ()


def test_no_limit_knows_another() -> None:
    """What limits share is in three files; everything else about a limit is its own affair, or its own package's."""
    shared = ("controller.limits.base", "controller.limits.in_force", "controller.limits.unit_ranges")
    found = [
        f"{module.place(line)} imports {name}"
        for module in modules()
        if module.inside("controller.limits")
        for name, line in imports(module)
        if within(name, "controller.limits") and not within(name, *shared, module.name, *own_package(module.name))
    ]
    assert not found, report(found)


def test_the_core_draws_no_random_numbers() -> None:
    found = [
        f"{module.place(number)} {line.strip()}"
        for module in modules()
        if module.inside(*CORE)
        for number, line in enumerate(module.text.splitlines(), 1)
        if "np.random" in line or "numpy.random" in line
    ]
    assert not found, report(found)
