"""Style that a tool does not check: sizes, exceptions, clocks, names of quantities."""

from __future__ import annotations

import ast

from source_tree import CORE, functions, imports, modules, report

FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60
CLOCK = "controller.clock"
CLOCK_CALLS = ("time.time", "time.monotonic", "time.perf_counter", "datetime.now", "datetime.utcnow", "date.today")
UNIT_SUFFIXES = (
    *("w", "var", "va", "wh", "v", "a", "hz", "ohm", "s", "c", "k", "pu", "frac", "m", "deg", "eur", "ln"),
    *("max", "min", "ratio", "factor", "rel", "exponent", "sign", "scale", "gain", "weight", "tolerance", "speed"),
)


def test_no_file_is_longer_than_a_reader_can_hold() -> None:
    found = [
        f"{module.place(1)} has {lines} lines; at most {FILE_LINES_MAX}"
        for module in modules("controller", "drivers", "simulators", "tests", "benchmarks")
        if (lines := module.text.count("\n")) > FILE_LINES_MAX
    ]
    assert not found, report(found)


def test_no_function_is_longer_than_a_page() -> None:
    found = [
        f"{module.place(node.lineno)} {node.name} has {lines} lines; at most {FUNCTION_LINES_MAX}"
        for module in modules("controller", "drivers", "simulators", "tests", "benchmarks")
        for node in functions(module)
        if (lines := (node.end_lineno or node.lineno) - node.lineno + 1) > FUNCTION_LINES_MAX
    ]
    assert not found, report(found)


def test_most_functions_are_short() -> None:
    """The house's measure: nine in ten below 40 lines, half of them at most 10."""
    lengths = sorted(
        (node.end_lineno or node.lineno) - node.lineno + 1 for module in modules() for node in functions(module)
    )
    assert lengths[len(lengths) * 9 // 10] < 40
    assert lengths[len(lengths) // 2] <= 12


def broad(node: ast.ExceptHandler) -> bool:
    """Whether a handler catches everything and keeps it; cleaning up and raising on is not catching."""
    last = node.body[-1]
    if isinstance(last, ast.Raise) and last.exc is None:
        return False
    caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
    return any(kind is None or ast.unparse(kind) in ("Exception", "BaseException") for kind in caught)


def test_nothing_catches_everything() -> None:
    found = [
        f"{module.place(node.lineno)} catches everything; name what can happen"
        for module in modules()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ExceptHandler) and broad(node)
    ]
    assert not found, report(found)


def clock_reads(module_names: tuple[str, ...]) -> list[str]:
    """Calls that read a clock, as places."""
    return [
        f"{module.place(node.lineno)} calls {ast.unparse(node.func)}"
        for module in modules()
        if module.inside(*module_names) and module.name != CLOCK
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func).removeprefix("datetime.") in CLOCK_CALLS
    ]


def test_only_one_file_of_the_product_reads_the_time() -> None:
    found = clock_reads(("controller", "drivers"))
    assert not found, report(found)


def test_the_core_is_told_the_time_and_never_asks() -> None:
    found = [
        f"{module.place(node.lineno)} calls {ast.unparse(node.func)}"
        for module in modules()
        if module.inside(*CORE)
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("now", "utcnow", "now_s", "utc", "today", "monotonic")
    ]
    assert not found, report(found)


def test_no_test_and_no_product_code_prints_or_breaks_into_a_debugger() -> None:
    found = [
        f"{module.place(node.lineno)} calls {node.func.id}"
        for module in modules("controller", "drivers")
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("print", "breakpoint")
    ]
    assert not found, report(found)


def test_nothing_unfinished_is_left_in_the_product() -> None:
    marks = ("TODO", "FIXME", "XXX", "HACK")
    found = [
        f"{module.place(number)} says {mark}"
        for module in modules()
        for number, line in enumerate(module.text.splitlines(), 1)
        for mark in marks
        if mark in line
    ]
    found += [
        f"{module.place(line)} imports NotImplementedError"
        for module in modules()
        for name, line in imports(module)
        if name.endswith("NotImplementedError")
    ]
    assert not found, report(found)


BARE_NUMBERS = ("value", "number", "default", "low", "high", "lower", "upper")


def float_parameters() -> list[tuple[str, str]]:
    """Place and name of every float parameter of a public function in the product."""
    return [
        (module.place(node.lineno), argument.arg)
        for module in modules("controller", "drivers")
        for node in functions(module)
        if not node.name.startswith("_")
        for argument in (*node.args.args, *node.args.kwonlyargs)
        if isinstance(argument.annotation, ast.Name) and argument.annotation.id == "float"
    ]


def test_the_unit_is_in_the_name() -> None:
    """Nine in ten float parameters of public functions say their unit, unless they are bare numbers by nature."""
    parameters = float_parameters()
    known = (*UNIT_SUFFIXES, *BARE_NUMBERS)
    silent = [f"{place} {name}" for place, name in parameters if name.split("_")[-1] not in known]
    assert len(silent) <= 0.1 * len(parameters), report(silent)
