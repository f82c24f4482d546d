"""What a server may say while a session is made: what real ones say, and no more."""

from __future__ import annotations

from typing import Any

import pytest
from asyncua import ua
from asyncua.ua import ua_binary

from drivers.opcua.session.binary import WireError
from drivers.opcua.session.opening import ENTRIES_MAX, RESULTS_MAX, check_opening
from drivers.opcua.session.services import answer_head


def endpoint(policies: int = 3, addresses: int = 2) -> ua.EndpointDescription:
    token = ua.UserTokenPolicy("anonymous", ua.UserTokenType.Anonymous, None, None, "http://policy")
    server = ua.ApplicationDescription(
        ApplicationUri="urn:maker:server",
        ApplicationName=ua.LocalizedText("Server", "en"),
        DiscoveryUrls=["opc.tcp://a"] * addresses,
    )
    return ua.EndpointDescription(
        EndpointUrl="opc.tcp://a:4840/",
        Server=server,
        ServerCertificate=bytes(6000),
        SecurityMode=ua.MessageSecurityMode.SignAndEncrypt,
        SecurityPolicyUri="http://policy",
        UserIdentityTokens=[token] * policies,
    )


def session(endpoints: int = 20, certificates: int = 0) -> ua.CreateSessionResponse:
    found = ua.CreateSessionResponse()
    found.Parameters.SessionId = ua.NodeId("a session", 1)
    found.Parameters.AuthenticationToken = ua.NodeId(b"secret", 0, ua.NodeIdType.ByteString)
    found.Parameters.ServerNonce = bytes(32)
    found.Parameters.ServerEndpoints = [endpoint()] * endpoints
    found.Parameters.ServerSoftwareCertificates = [ua.SignedSoftwareCertificate()] * certificates
    return found


def activated(results: int = 1, diagnostics: int = 0) -> ua.ActivateSessionResponse:
    found = ua.ActivateSessionResponse()
    found.Parameters.Results = [ua.StatusCode(0)] * results
    found.Parameters.DiagnosticInfos = [ua.DiagnosticInfo()] * diagnostics
    return found


def check(answer: Any) -> None:
    type_id, _, _, reader = answer_head(ua_binary.struct_to_binary(answer))
    check_opening(type_id, reader)
    assert reader.at == len(reader.data), "the walk ends where asyncua's encoding does"


@pytest.mark.parametrize(
    "answer", [session(), session(0), session(1, RESULTS_MAX), activated(), activated(RESULTS_MAX, RESULTS_MAX)]
)
def test_what_real_servers_say_passes_and_is_walked_over_to_its_last_byte(answer: Any) -> None:
    check(answer)


def test_a_list_of_endpoints_passes_too() -> None:
    check(ua.GetEndpointsResponse(Endpoints=[endpoint()] * 20))


@pytest.mark.parametrize(
    "answer",
    [
        session(certificates=15_000),
        session(ENTRIES_MAX),
        ua.GetEndpointsResponse(Endpoints=[endpoint(policies=3000, addresses=0)]),
        ua.GetEndpointsResponse(Endpoints=[endpoint(policies=0, addresses=15_000)]),
        activated(diagnostics=60_000),
        activated(results=15_000),
    ],
    ids=["certificates", "endpoints", "policies", "addresses", "diagnostics", "results"],
)
def test_an_answer_made_to_hold_the_loop_is_refused_before_it_is_decoded(answer: Any) -> None:
    with pytest.raises(WireError, match=r"expected at most|more than"):
        check(answer)
