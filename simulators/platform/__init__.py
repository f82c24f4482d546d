"""A balancing platform to test against: an HTTPS server (OpenADR 3.1) and an aggregator (UFTP); both can misbehave."""
