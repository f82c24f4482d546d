"""The simulated units and meters: what they can do, how they move, what they say."""
