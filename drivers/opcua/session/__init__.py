"""One OPC UA session, from the socket to resolved points: the only place of the driver that knows asyncua.

A session is used until its first fault and never again; whoever owns it opens a new one. asyncua's own reconnection,
health probes and subscriptions are not used: they re-use NodeIds (a renumbered server then delivers another quantity
with Good quality), and some of their failures are only logged.
"""

from drivers.opcua.session.cross_check import UnreportedError
from drivers.opcua.session.points import Points, Terms, UnresolvedError
from drivers.opcua.session.protocol import LinkError, unrecorded
from drivers.opcua.session.session import OpcUaSession

__all__ = ["LinkError", "OpcUaSession", "Points", "Terms", "UnreportedError", "UnresolvedError", "unrecorded"]
