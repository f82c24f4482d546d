"""Colours of the demo and the bars made of them."""

from __future__ import annotations

import math

from rich.text import Text

FRAME = "grey37"
LABEL = "grey62"
VALUE = "bold white"
PLAIN = "grey85"
BELIEVED = "cyan"
OTHER = "orchid"
GOOD, NEAR, OVER = "green3", "gold1", "red1"
UNIT_COLOURS = {
    "wind": "deep_sky_blue1",
    "pv": "gold1",
    "generator": "orange3",
    "battery": "spring_green2",
    "ev_hub": "medium_purple1",
    "flex_load": "medium_purple1",
}
SOURCE_COLOURS = {"controller": BELIEVED, "simulator": "orange1", "market": "green3", "box": OVER}
NEAR_FRAC = 0.9
"""From here on a limit is coloured as near."""
_FULL_FRAC = 1.25  # right end of a loading bar
_EIGHTHS = " ▏▎▍▌▋▊▉"


def loading_colour(frac: float) -> str:
    """Green, yellow from 90 % on, red above the limit; grey when unknown."""
    if not math.isfinite(frac):
        return LABEL
    return OVER if frac > 1.0 else NEAR if frac >= NEAR_FRAC else GOOD


def loading_bar(frac: float, other_frac: float, width: int) -> Text:
    """A limit's use from 0 to 125 %: the truth as a bar, ``│`` where the limit is, ``◆`` where the other world is."""
    limit = round(width / _FULL_FRAC)
    halves = min(round(2.0 * max(frac, 0.0) * limit), 2 * width) if math.isfinite(frac) else 0
    truth = "━" * (halves // 2) + "╸" * (halves % 2)
    bar = Text(truth, style=loading_colour(frac)) + Text("─" * (width - len(truth)), style=FRAME)
    beyond = halves > 2 * limit
    bar = _put(bar, limit, "┿" if beyond else "│", OVER if beyond else VALUE)
    if math.isfinite(other_frac):
        place = round(max(other_frac, 0.0) * limit)
        bar = _put(bar, min(place, width - 1), "▶" if place >= width else "◆", OTHER)
    return bar


def level_bar(frac: float, width: int, colour: str) -> Text:
    """0 to 100 % in eighths of a character."""
    if not math.isfinite(frac):
        return Text("–", style=LABEL)
    eighths = round(min(max(frac, 0.0), 1.0) * width * 8)
    full, rest = divmod(eighths, 8)
    text = "█" * full + (_EIGHTHS[rest] if rest else "")
    return Text(text.ljust(width), style=f"{colour} on grey19")


def progress_bar(frac: float, width: int) -> Text:
    """How much of the day is over."""
    done = round(min(max(frac, 0.0), 1.0) * width)
    return Text("━" * done, style="grey85") + Text("─" * (width - done), style=FRAME)


def _put(bar: Text, place: int, mark: str, style: str) -> Text:
    return bar[:place] + Text(mark, style=style) + bar[place + 1 :]
