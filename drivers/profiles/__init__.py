"""Device tables, one per device type; no code."""
