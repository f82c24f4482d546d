"""SunSpec Modbus: the models that a device has are found out at every session, and points are bound to them by name."""
