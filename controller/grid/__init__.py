"""The network model that the controller thinks with: power flow and sensitivities from the site file's data."""
