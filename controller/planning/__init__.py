"""The slow step: what to buy against a forecast shortage. Pure functions; nothing here runs in the fast loop."""
