"""Frozen values that everything else speaks in. Nothing here does I/O or reads a clock.

Sign: load convention everywhere. ``p_w > 0`` flows from the network into the unit; generation is negative.
A branch is positive from its source side to its load side; import at the connection point is positive.
``q_var > 0`` is inductive absorption.
"""
