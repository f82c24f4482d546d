"""A simulated substation: physics that steps, adapters that speak the field's protocols. Never imported by the product."""
