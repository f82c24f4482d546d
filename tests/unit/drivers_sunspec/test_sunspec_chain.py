"""The chain of models is found as pysunspec2 writes it, and anything that is no chain is refused."""

from __future__ import annotations

import json
import struct
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sunspec2.device import Device, get_model_def

from drivers.profile_loader import load_profile
from drivers.sunspec.bind import bind
from drivers.sunspec.chain import MODELS_MAX, Chain, ChainWalk, ModelAt, standard_chain
from drivers.sunspec.definitions import model

EXAMPLE = json.loads((files("sunspec2") / "tests" / "test_data" / "device_1547.json").read_text("utf-8"))
ALL_MODELS = sorted(
    int(item.name.removesuffix(".json").removeprefix("model_"))
    for item in (files("sunspec2") / "models" / "json").iterdir()
    if item.name.startswith("model_")
)


def walked(image: bytes, base: int, bases: tuple[int, ...] = (40000, 0, 50000)) -> ChainWalk:
    """A walk over a device whose registers from ``base`` are ``image``; it refuses everything else."""
    walk = ChainWalk(bases)
    for _ in range(2 * MODELS_MAX):
        if walk.wanted is None:
            break
        address, count = walk.wanted
        start = 2 * (address - base)
        data = image[start : start + 2 * count] if start >= 0 else b""
        if len(data) == 2 * count:
            walk.take(data)
        else:
            walk.refuse("exception 2 illegal data address")
    return walk


def example_image() -> bytes:
    device = Device()
    device._set_dict(EXAMPLE)
    return b"SunS" + bytes(device.get_mb()) + b"\xff\xff\x00\x00"


@pytest.mark.parametrize("base", [40000, 0, 50000])
def test_the_models_of_pysunspec2s_own_example_device_are_found_at_every_base(base: int) -> None:
    expected = [int(item["ID"]) for item in EXAMPLE["models"][:-1]]
    walk = walked(example_image(), base)
    assert walk.fault == ""
    assert walk.chain is not None
    assert walk.chain.base == base
    assert [found.id for found in walk.chain.models] == expected
    assert walk.chain.end - base == (len(example_image()) - 4) // 2


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (b"SunX" + b"\0\1\0\1", "no SunSpec marker"),
        (b"SunS" + struct.pack(">HH", 0, 0), "model 0 of length 0"),
        (b"SunS" + struct.pack(">HH", 1, 0), "model 1 of length 0"),
        (b"SunS" + struct.pack(">HH", 1, 65535), "leaves the registers"),
        (b"SunS" + struct.pack(">HHH", 1, 1, 7), "breaks off at 40005: exception 2"),
        (b"SunS" + struct.pack(">HHH", 1, 1, 7) * 101, "more than 100 models"),
    ],
)
def test_what_is_no_chain_is_refused_with_its_place(image: bytes, words: str) -> None:
    walk = walked(image, 40000)
    assert walk.chain is None
    assert words in walk.fault


@given(st.binary(min_size=8, max_size=600))
def test_no_bytes_make_the_walk_run_for_ever_or_leave_the_registers(noise: bytes) -> None:
    walk = walked(b"SunS" + noise, 65000, bases=(65000,))
    assert walk.wanted is None
    assert walk.chain is not None or walk.fault
    if walk.chain is not None:
        assert walk.chain.end <= 65534


@pytest.mark.parametrize("model_id", ALL_MODELS)
def test_every_published_model_has_the_offsets_that_pysunspec2_gives_its_points(model_id: int) -> None:
    found = model(model_id)
    assert found is not None
    offset = 0
    for item in get_model_def(model_id)["group"]["points"]:
        if item["name"] in found.points:
            assert found.points[item["name"]].offset == offset
        offset += int(item["size"])
    assert found.points["ID"].offset == 0


def test_a_vendors_own_model_is_walked_over_and_has_no_definition() -> None:
    assert model(65000) is None
    image = b"SunS" + struct.pack(">HHHH", 65000, 2, 0, 0) + struct.pack(">HHH", 1, 1, 0) + b"\xff\xff\0\0"
    walk = walked(image, 0)
    assert walk.chain is not None
    assert [found.id for found in walk.chain.models] == [65000, 1]


def test_points_take_the_first_model_that_the_device_has() -> None:
    template = load_profile("sunspec_der").template
    assert template is not None
    moved = standard_chain((1, 120, 701, 702, 703, 704), base=0)
    bound = bind(template, moved)
    assert bound.profile.point("p_w").address == moved.find(701)[0].address + 10
    assert bound.unbound["der_heartbeat"] == "the device has no model 715"
    assert bound.headers["model_704_length"] == 65


def test_a_model_that_is_there_twice_is_not_chosen_from() -> None:
    template = load_profile("sunspec_der").template
    assert template is not None
    bound = bind(template, standard_chain((1, 701, 701, 702, 704)))
    assert bound.unbound["p_w"] == "the device has 2 models 701"


def test_a_model_that_is_too_short_for_a_point_lacks_it_and_its_commands() -> None:
    template = load_profile("sunspec_der").template
    assert template is not None
    models = standard_chain((1, 701, 702)).models
    short = Chain(40000, (*models, ModelAt(704, models[-1].end, 20)))
    bound = bind(template, short)
    assert bound.profile.command("generation_w_max") is None
    assert bound.unbound["w_max_lim_frac"].endswith("too short for WMaxLimPct_SF")
    assert bound.unbound["var_set_ena"] == "model 704 of the device has length 20, too short for VarSetEna"
