"""Orders to the control process over its platform socket; one at a time, each with its answer."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from controller.domain.instruction import Instruction
from controller.runtime.instruction_wire import LINE_BYTES_MAX, write_instruction

ANSWER_S = 35.0


class OrderPort:
    """Says one instruction and reads one answer, on a connection of its own."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def say(self, asked: Instruction) -> tuple[bool, str]:
        """Whether it was accepted, and the words. Raises OSError when nobody answers."""
        async with asyncio.timeout(ANSWER_S):
            reader, writer = await asyncio.open_unix_connection(str(self._path), limit=4 * LINE_BYTES_MAX)
            try:
                writer.write(write_instruction(asked))
                await writer.drain()
                line = await reader.readline()
            finally:
                writer.close()
        try:
            answer = json.loads(line or b"null")
        except ValueError as error:
            raise OSError(f"{self._path}: answer is not JSON: {error}") from error
        if not isinstance(answer, dict):
            raise OSError(f"{self._path}: hung up without an answer")
        return answer.get("accepted") is True, str(answer.get("text"))
