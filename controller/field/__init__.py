"""Tools with which people look at the field without controlling it: live points, commissioning."""
