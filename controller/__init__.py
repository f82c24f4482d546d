"""gridedge: the controller of a distribution substation's flexible units."""
