"""Synthetic substations of any size, and a plant that drives the control core against their limits."""
