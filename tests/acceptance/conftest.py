"""The event loop with a virtual clock is shared with the tests of the runtime."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "unit" / "runtime"))
