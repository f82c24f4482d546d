"""The OpenADR 3.1 objects that this VEN speaks, as strict models. Names and ranges as in OpenADR 3.1.1, Definition.

An event carries limits, so it may hold nothing that we do not know; of the other objects unknown keys are passed over.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from controller.balancing.openadr.strict_json import Malformed

Text = Annotated[str, Field(min_length=1, max_length=128)]
ObjectId = Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,128}$")]
Value = bool | int | float | Annotated[str, Field(max_length=256)] | dict[str, float]
M = TypeVar("M", bound=BaseModel)


class Strict(BaseModel):
    """Exactly the keys of the standard; no text for numbers, no NaN."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class Open(BaseModel):
    """As strict in what is read, but what else there is does not matter."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True, allow_inf_nan=False)


class ValuesMap(Strict):
    """Values of one type: a payload or an attribute."""

    type: Text
    values: list[Value] = Field(max_length=3000)


class IntervalPeriod(Strict):
    """When an interval starts and how long it lasts (texts as in :mod:`.times`)."""

    start: Text | None = None
    duration: Text | None = None
    randomizeStart: Text | None = None


class Interval(Strict):
    """One interval of an event or a report."""

    id: int = Field(ge=0, lt=1 << 31)
    intervalPeriod: IntervalPeriod | None = None
    payloads: list[ValuesMap] = Field(min_length=1, max_length=20)


class EventPayloadDescriptor(Strict):
    """What the values of a payload type mean."""

    objectType: Literal["EVENT_PAYLOAD_DESCRIPTOR"] = "EVENT_PAYLOAD_DESCRIPTOR"
    payloadType: Text
    units: Text | None = None
    currency: Text | None = None


class ReportPayloadDescriptor(Open):
    """What the values of a reported payload type mean."""

    objectType: Literal["REPORT_PAYLOAD_DESCRIPTOR"] = "REPORT_PAYLOAD_DESCRIPTOR"
    payloadType: Text
    readingType: Text | None = None
    units: Text | None = None
    accuracy: float | None = None
    confidence: int | None = None


class ReportDescriptor(Strict):
    """A report that an event asks for."""

    objectType: Literal["REPORT_DESCRIPTOR"] = "REPORT_DESCRIPTOR"
    payloadType: Text
    readingType: Text | None = None
    units: Text | None = None
    targets: list[Text] | None = Field(None, max_length=200)
    aggregate: bool | None = None
    startInterval: int | None = None
    numIntervals: int | None = None
    historical: bool | None = None
    frequency: int | None = None
    repeat: int | None = None
    reportIntervals: Text | None = None


class Event(Strict):
    """A request of the platform; ``priority`` 0 is the highest, none the lowest."""

    id: ObjectId
    createdDateTime: Text | None = None
    modificationDateTime: Text | None = None
    objectType: Literal["EVENT"] = "EVENT"
    programID: ObjectId
    eventName: Annotated[str, Field(max_length=128)] | None = None
    duration: Text | None = None
    priority: int | None = Field(None, ge=0, lt=1 << 31)
    targets: list[Text] | None = Field(None, max_length=200)
    reportDescriptors: list[ReportDescriptor] | None = Field(None, max_length=50)
    payloadDescriptors: list[EventPayloadDescriptor] | None = Field(None, max_length=50)
    intervalPeriod: IntervalPeriod | None = None
    intervals: list[Interval] = Field(min_length=1, max_length=3000)


class Program(Open):
    """A context for events; its name says which desk speaks."""

    id: ObjectId
    objectType: Literal["PROGRAM"] = "PROGRAM"
    programName: Text
    payloadDescriptors: list[EventPayloadDescriptor | ReportPayloadDescriptor] | None = None


class Ven(Open):
    """This site, as the platform knows it."""

    id: ObjectId | None = None
    objectType: Literal["VEN", "VEN_VEN_REQUEST", "BL_VEN_REQUEST"] = "VEN"
    venName: Text
    targets: list[Text] | None = None
    attributes: list[ValuesMap] | None = None


class Resource(Open):
    """One unit of this site, as the platform knows it."""

    id: ObjectId | None = None
    objectType: Literal["RESOURCE", "VEN_RESOURCE_REQUEST", "BL_RESOURCE_REQUEST"] = "RESOURCE"
    resourceName: Text
    venID: ObjectId
    targets: list[Text] | None = None
    attributes: list[ValuesMap] | None = None


class ReportResource(Open):
    """The values of one unit, or of the whole site."""

    resourceName: Text
    intervalPeriod: IntervalPeriod | None = None
    intervals: list[Interval]


class Report(Open):
    """What the site says, always about an event."""

    id: ObjectId | None = None
    objectType: Literal["REPORT"] = "REPORT"
    eventID: ObjectId
    clientName: Text
    reportName: Text | None = None
    payloadDescriptors: list[ReportPayloadDescriptor] | None = None
    resources: list[ReportResource]


class ObjectOperation(Open):
    """What a subscription is to be told of, and where."""

    objects: list[Text]
    operations: list[Text]
    callbackUrl: Text | None = None
    bearerToken: Text | None = None


class Subscription(Open):
    """A wish to be told of changes."""

    id: ObjectId | None = None
    objectType: Literal["SUBSCRIPTION"] = "SUBSCRIPTION"
    clientName: Text
    programID: ObjectId | None = None
    objectOperations: list[ObjectOperation]
    targets: list[Text] | None = None


class MqttAuthentication(Open):
    """How a broker wants to know who we are."""

    method: Literal["ANONYMOUS", "OAUTH2_BEARER_TOKEN", "CERTIFICATE"]
    username: Text | None = None


class MqttBinding(Open):
    """Where notifications are published."""

    URIS: list[Text] = Field(min_length=1, max_length=10)
    authentication: MqttAuthentication
    serialization: Literal["JSON"] = "JSON"


class Notifiers(Open):
    """How the platform notifies."""

    MQTT: MqttBinding | None = None


class Topics(Open):
    """Topics of the operations on a kind of object, by operation."""

    topics: dict[Text, Text] = Field(min_length=1, max_length=10)

    @property
    def wanted(self) -> list[str]:
        """What to listen to: the topic of all operations where there is one."""
        return [self.topics["ALL"]] if "ALL" in self.topics else list(self.topics.values())


class Token(Open):
    """Answer of the token endpoint (RFC 6749, section 5.1)."""

    access_token: Annotated[str, Field(min_length=1, max_length=8192)]
    token_type: Text
    expires_in: int | None = Field(None, ge=1)


class AuthServer(Open):
    """Where tokens are."""

    tokenURL: Annotated[str, Field(pattern=r"^https://", max_length=512)]


def parse(model: type[M], document: Any) -> M:
    """``document`` as a model. Raises Malformed with the first thing that is wrong."""
    try:
        return model.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"][:6]) or "document"
        raise Malformed(f"{place}: {first['msg']}, not {str(first['input'])[:60]!r}") from error


def dump(model: BaseModel) -> dict[str, Any]:
    """The object as it is sent: what is not given is left out."""
    return model.model_dump(exclude_none=True)
