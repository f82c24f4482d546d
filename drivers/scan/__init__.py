"""What answers at an address: Modbus units with what they say about themselves, SunSpec models, OPC UA endpoints.

Reads only, one request at a time with a pause after each, and bounded in time: a plant network is not a playground.
"""
