"""Strict reading of YAML text: plain data and the line of every key, or findings.

The text is read as a stream of events rather than as a tree of nodes, because only the events still say that there was
an alias (``*x``), an anchor or an explicit tag. An alias is reported and never followed, so an alias bomb costs no more
than its own text; nesting is a list here, not the interpreter's stack.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import yaml

from controller.config.finding import Finding, Path, show, spell
from controller.config.scalars import AmbiguousScalar, read_scalar

BYTES_MAX = 1_000_000
DEPTH_MAX = 12
FINDINGS_MAX = 200


@dataclass(slots=True)
class Document:
    """Plain data (dict with text keys, tuple, text, int, float, bool, None), the 1-based line of every path, findings.

    ``broken`` holds the paths whose value could not be read; their entry in ``data`` is None.
    """

    data: Any = None
    lines: dict[Path, int] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    broken: set[Path] = field(default_factory=set)

    def line(self, path: Path) -> int:
        """Line of ``path``, or of its nearest parent that is in the file; 1 for the document itself."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def read_yaml(raw: bytes) -> Document:
    """Read one YAML document. Never raises for anything that the bytes may hold; see ``findings``."""
    if len(raw) > BYTES_MAX:
        return _refused(1, f"{len(raw)} bytes", f"at most {BYTES_MAX} bytes", "not parsed")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        return _refused(line, f"byte {raw[error.start]:#04x}", "UTF-8 text", error.reason)
    return _read_text(text)


def _refused(line: int, value: str, expected: str, message: str) -> Document:
    return Document(findings=[Finding("(file)", line, value, expected, message)])


def _read_text(text: str) -> Document:
    reader = _Reader()
    try:
        for event in yaml.parse(text, Loader=yaml.CSafeLoader):
            if not reader.take(event):
                break
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = " ".join(part for part in (error.context, error.problem) if part)
        reader.refuse((), 1 if mark is None else mark.line + 1, "text that is not YAML", "", problem)
    except yaml.YAMLError as error:
        reader.refuse((), 1, "text that is not YAML", "", " ".join(str(error).split()))
    document = reader.document
    if document.data is None and not document.findings:
        reader.refuse((), 1, "nothing", "a site file", "the file is empty")
    return document


@dataclass(slots=True)
class _Open:
    """A mapping or list whose end has not been seen yet; ``key`` is the mapping key that waits for its value."""

    path: Path
    items: dict[str, Any] | list[Any]
    key: str | None = None

    @property
    def waits_for_key(self) -> bool:
        return self.key is None and isinstance(self.items, dict)

    @property
    def next_path(self) -> Path:
        return (*self.path, len(self.items) if self.key is None else self.key)

    def put(self, value: Any) -> None:
        """Add the next value; of a key given twice the first stays."""
        if isinstance(self.items, list):
            self.items.append(value)
        elif self.key is not None:
            self.items.setdefault(self.key, value)
            self.key = None


def _line(event: yaml.Event) -> int:
    return 1 if event.start_mark is None else event.start_mark.line + 1


class _Reader:
    def __init__(self) -> None:
        self.document = Document()
        self._stack: list[_Open] = []
        self._documents = 0

    def take(self, event: yaml.Event) -> bool:
        """Take one event; False when reading on makes no sense."""
        if isinstance(event, yaml.DocumentStartEvent):
            return self._document_start(_line(event))
        if isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
            self._close()
        elif isinstance(event, yaml.NodeEvent):
            return self._node(event, _line(event)) and len(self.document.findings) < FINDINGS_MAX
        return True

    def refuse(self, path: Path, line: int, value: str, expected: str, message: str) -> None:
        self.document.findings.append(Finding(spell(path), line, value, expected, message))

    def _document_start(self, line: int) -> bool:
        self._documents += 1
        if self._documents > 1:
            self.refuse((), line, "a second document", "one document", "remove the '---' line")
        return self._documents == 1

    def _node(self, event: yaml.NodeEvent, line: int) -> bool:
        if self._stack and self._stack[-1].waits_for_key:
            return self._take_key(self._stack[-1], event, line)
        path = self._stack[-1].next_path if self._stack else ()
        self.document.lines.setdefault(path, line)
        self._refuse_decoration(event, path, line)
        if isinstance(event, yaml.CollectionStartEvent):
            return self._open(event, path, line)
        self._put(self._value(event, path, line))
        return True

    def _take_key(self, top: _Open, event: yaml.NodeEvent, line: int) -> bool:
        if not isinstance(event, yaml.ScalarEvent):
            self.refuse(top.path, line, "a key that is not text", "a name", "the rest of the file was not read")
            return False
        top.key = event.value
        path = top.next_path
        if event.value in top.items:
            first = self.document.line(path)
            self.refuse(path, line, "the key a second time", "each key once", f"first in line {first}")
        if event.value == "<<":
            self.refuse(path, line, "a merge key", "the values spelled out", "merging hides what a limit is")
        self.document.lines.setdefault(path, line)
        self._refuse_decoration(event, path, line)
        return True

    def _refuse_decoration(self, event: yaml.NodeEvent, path: Path, line: int) -> None:
        if isinstance(event, yaml.AliasEvent):
            self._broken(
                path,
                line,
                f"the alias *{spell((event.anchor or '',))}",
                "aliases are not followed; write the value out",
            )
        elif event.anchor is not None:
            self._broken(
                path, line, f"the anchor &{spell((event.anchor or '',))}", "anchors are not used; write every value out"
            )
        tag = getattr(event, "tag", None)
        if tag is not None:
            self._broken(path, line, f"the tag {show(tag)}", "types are fixed by the key; remove the tag")

    def _broken(self, path: Path, line: int, value: str, message: str) -> None:
        self.document.broken.add(path)
        self.refuse(path, line, value, "a plain value", message)

    def _value(self, event: yaml.NodeEvent, path: Path, line: int) -> Any:
        if not isinstance(event, yaml.ScalarEvent):
            return None
        if event.style is not None and event.style != "":
            return event.value
        try:
            return read_scalar(event.value)
        except AmbiguousScalar as error:
            self._broken(path, line, show(event.value).strip("'\""), str(error))
            return None

    def _open(self, event: yaml.CollectionStartEvent, path: Path, line: int) -> bool:
        if len(self._stack) >= DEPTH_MAX:
            self.refuse(path, line, f"more than {DEPTH_MAX} levels", "", "the rest of the file was not read")
            return False
        self._stack.append(_Open(path, {} if isinstance(event, yaml.MappingStartEvent) else []))
        return True

    def _close(self) -> None:
        done = self._stack.pop()
        self._put(tuple(done.items) if isinstance(done.items, list) else done.items)

    def _put(self, value: Any) -> None:
        if self._stack:
            self._stack[-1].put(value)
        else:
            self.document.data = value
