"""Stand-in for the local balancing platform of a simulated day: forecasts, offers, gate closures, orders."""
