"""A balancing platform to test against: a real HTTPS server that speaks OpenADR 3.1, an aggregator on the market; both misbehave."""
