"""A balancing platform to test against: a real HTTPS server (OpenADR 3.1) and an aggregator (UFTP) that can misbehave."""
