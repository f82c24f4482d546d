"""From a snapshot to what the network is doing now, with how sure we are of it."""
