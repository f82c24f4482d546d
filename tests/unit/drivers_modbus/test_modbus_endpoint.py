"""What the endpoint of a device may be, and what it says about the line."""

from __future__ import annotations

import pytest

from controller.clock import SystemClock
from drivers.modbus.endpoint import BAUDS, Endpoint, SerialLine
from drivers.modbus.lines import Lines


def test_tls_has_a_port_of_its_own_when_none_is_named() -> None:
    assert Endpoint.parse("modbus+tls://rtu7") == Endpoint("rtu7", 802, tls=True)
    assert Endpoint.parse("modbus+tls://rtu7:8802").port == 8802
    assert Endpoint.parse("modbus+tls://[fe80::1]") == Endpoint("fe80::1", 802, tls=True)


def test_a_serial_line_is_19200_baud_with_even_parity_and_one_stop_bit_unless_said_otherwise() -> None:
    assert Endpoint.parse("rtu:///dev/ttyUSB0") == Endpoint("/dev/ttyUSB0", rtu=True, serial=SerialLine(19200, "E", 1))
    found = Endpoint.parse("rtu:///dev/ttyS1?baud=9600&parity=N&stop=2")
    assert found.serial == SerialLine(9600, "N", 2)
    assert str(found) == "/dev/ttyS1"


def test_the_silence_between_frames_is_that_of_the_standard() -> None:
    """MODBUS over Serial Line V1.02, 2.5.1.1: 3.5 characters of 11 bits; 1.75 ms above 19200 baud."""
    assert SerialLine(9600, "E", 1).silence_s == pytest.approx(3.5 * 11 / 9600)
    assert SerialLine(19200, "N", 2).silence_s == pytest.approx(2.0e-3, abs=1e-5)
    assert SerialLine(38400).silence_s == SerialLine(115200).silence_s == 1.75e-3


@pytest.mark.parametrize(
    "text",
    [
        *("rtu://ttyS0", "rtu:///dev/x?baud=", "rtu:///dev/x?baud=9601", "rtu:///dev/x?parity=M"),
        *("rtu:///dev/x?parity=", "rtu:///dev/x?stop=3", "rtu:///dev/x?bits=7"),
        *("modbus+tls://", "tls://h:802", "modbus+tls://h:0"),
    ],
)
def test_a_line_that_cannot_be_is_refused_with_what_was_expected(text: str) -> None:
    with pytest.raises(ValueError, match=r"endpoint is .*; expected .*baud"):
        Endpoint.parse(text)


@pytest.mark.parametrize("baud", BAUDS)
def test_every_usual_speed_is_known(baud: int) -> None:
    assert Endpoint.parse(f"rtu:///dev/x?baud={baud}").serial == SerialLine(baud)


def test_devices_that_disagree_about_their_line_are_refused_by_name() -> None:
    lines = Lines(SystemClock())
    common = {"timeout_s": 0.5, "turnaround_s": 0.0}
    one = lines.join("A", Endpoint.parse("rtu:///dev/x"), {}, **common)
    two = lines.join("B", Endpoint.parse("rtu:///dev/x"), {}, timeout_s=0.5, turnaround_s=0.05)
    assert one.session is two.session
    assert one.shared
    assert one.session.turnaround_s == 0.05, "the slowest device sets the pace of the line"
    with pytest.raises(ValueError, match="device C: endpoint /dev/x is used by A with another"):
        lines.join("C", Endpoint.parse("rtu:///dev/x?baud=9600"), {}, **common)
    lines.join("E", Endpoint.parse("h:502"), {}, **common)
    with pytest.raises(ValueError, match="device D: endpoint H:502 is used by E"):
        lines.join("D", Endpoint.parse("H:502"), {"ca_file": "/ca.pem"}, **common)
