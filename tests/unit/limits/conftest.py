"""The small station of the control core's tests lives beside the tests of `control`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "control"))
