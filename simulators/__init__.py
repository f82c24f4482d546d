"""A simulated substation: physics that steps, adapters that speak the protocols. Never imported by the product."""
