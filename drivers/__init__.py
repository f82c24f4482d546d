"""Field protocols: a device is a table (``profiles/``), input and output are written once per protocol."""
