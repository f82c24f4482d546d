"""One connection to an MQTT broker, as telemetry and the platform's notifications use it."""
