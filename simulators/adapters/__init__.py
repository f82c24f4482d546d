"""Protocol servers in front of simulated devices: they encode what a device says, and know no physics."""
