"""Thermal models of what carries the current: one equation, one function, one citation, one published number.

Pure functions of numbers: no clock, no file, no log. Temperatures in degrees Celsius (``_c``), differences in kelvin
(``_k``), time in seconds, load as a per-unit magnitude (reverse power heats the same).
"""
