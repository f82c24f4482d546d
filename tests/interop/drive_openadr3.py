"""The client ``openadr3`` (PyPI) against the stand-in: a program, an event, a VEN that reads it and reports."""

import sys
from typing import Any

from openadr3 import OpenADRClient  # type: ignore[import-not-found]
from openadr3.auth import fetch_token  # type: ignore[import-not-found]


def checked(answer: Any, status: int) -> Any:
    """The document of an answer that has this status."""
    assert answer.status_code == status, (answer.status_code, answer.text)
    return answer.json()


def main(url: str) -> None:
    business = OpenADRClient(url, token=fetch_token(url, "business", "business-secret"))
    ven = OpenADRClient(url, token=fetch_token(url, "ven", "ven-secret"))
    program = checked(business.create_program({"programName": "openadr3"}), 201)
    payload = {"type": "EXPORT_CAPACITY_LIMIT", "values": [3000]}
    event = {
        "programID": program["id"],
        "intervalPeriod": {"start": "2027-01-15T08:00:00Z", "duration": "PT30M"},
        "intervals": [{"id": 0, "payloads": [payload]}],
    }
    made = checked(business.create_event(event), 201)
    found = ven.events(programID=program["id"])
    assert [e.id for e in found] == [made["id"]], found
    resource = {"resourceName": "SITE", "intervals": [{"id": 0, "payloads": [{"type": "DEMAND", "values": [1.5]}]}]}
    report = {"eventID": made["id"], "clientName": "ven", "resources": [resource]}
    checked(ven.create_report(report), 201)
    checked(ven.create_ven({"venName": "ven", "objectType": "VEN_VEN_REQUEST"}), 201)
    checked(ven.create_event(event), 403)
    checked(business.delete_event(made["id"]), 200)
    assert ven.events(programID=program["id"]) == []
    sys.stdout.write("openadr3: program, event, report, ven, roles, deletion: good\n")


main(sys.argv[1])
