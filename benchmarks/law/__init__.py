"""What the page about the control law shows: the margin of stability, a step and a day."""
