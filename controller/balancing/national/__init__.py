"""The national balancing market: what the site has left for one window of every day, offered once and in time.

``hours`` says when, ``memory`` keeps every bid and its answer, ``client`` says it over HTTPS, ``link`` puts them
together.
"""
