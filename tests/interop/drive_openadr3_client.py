"""The client ``openadr3-client`` (PyPI) against the stand-in: a program, an event, and a VEN that reads it."""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from openadr3_client._models.common.interval import Interval  # type: ignore[import-not-found]
from openadr3_client._models.common.interval_period import IntervalPeriod  # type: ignore[import-not-found]
from openadr3_client.bl.http_factory import BusinessLogicHttpClientFactory  # type: ignore[import-not-found]
from openadr3_client.oadr310.models.event.event import NewEvent  # type: ignore[import-not-found]
from openadr3_client.oadr310.models.event.event_payload import (  # type: ignore[import-not-found]
    EventPayload,
    EventPayloadDescriptor,
    EventPayloadType,
)
from openadr3_client.oadr310.models.program.program import NewProgram  # type: ignore[import-not-found]
from openadr3_client.oadr310.models.unit import Unit  # type: ignore[import-not-found]
from openadr3_client.ven.http_factory import VirtualEndNodeHttpClientFactory  # type: ignore[import-not-found]
from openadr3_client.version import OADRVersion  # type: ignore[import-not-found]


def main(url: str, ca_file: Path) -> None:
    common = {"vtn_base_url": url, "verify_vtn_tls_certificate": ca_file, "version": OADRVersion.OADR_310}
    business = BusinessLogicHttpClientFactory.create_http_bl_client(
        client_id="business", client_secret="business-secret", **common
    )
    ven = VirtualEndNodeHttpClientFactory.create_http_ven_client(client_id="ven", client_secret="ven-secret", **common)
    program = business.programs.create_program(NewProgram(program_name="openadr3-client"))
    kind = EventPayloadType.EXPORT_CAPACITY_LIMIT
    period = IntervalPeriod(start=datetime.now(UTC), duration=timedelta(minutes=30))
    made = business.events.create_event(
        NewEvent(
            programID=program.id,
            payload_descriptors=(EventPayloadDescriptor(payload_type=kind, units=Unit.KW),),
            interval_period=period,
            intervals=(Interval(id=0, interval_period=None, payloads=(EventPayload(type=kind, values=(3000.0,)),)),),
        )
    )
    found = ven.events.get_events(target=None, pagination=None, program_id=program.id)
    assert [e.id for e in found] == [made.id], found
    assert found[0].intervals[0].payloads[0].values == (3000.0,), found
    sys.stdout.write("openadr3-client: program, event, reading it as a VEN: good\n")


main(sys.argv[1], Path(sys.argv[2]))
