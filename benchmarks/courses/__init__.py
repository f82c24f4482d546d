"""Seeded network courses for measuring control quality, and their perfect-information optima.

A course is a directory: ``network.json``, ``scenario.json``, ``series.csv.gz``, and ``truth.json`` where the plant
differs from the model that the controller is told. All numbers are synthetic; the same name gives the same bytes.
"""
