"""Recordings of the fast loop: everything that a decision depended on, so that it can be made again and compared.

``codec`` turns frozen values into JSON trees and back, bit by bit; ``patch`` keeps what did not change out of the file;
``writer`` and ``reader`` own the file; ``recorder`` feeds it beside the loop; ``replay`` thinks every cycle again.
"""
