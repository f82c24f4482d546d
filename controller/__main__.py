"""``python -m controller`` is ``gridedge``."""

from controller.cli import main

main()
