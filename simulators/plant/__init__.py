"""The network that the simulated units stand in: power flow, tap changers, heat."""
