"""``gridedge demo``: a day at a simulated substation with the real controller, on one screen."""
