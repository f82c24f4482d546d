"""OpenADR 3.1 as values: what a platform sends becomes commands, what a site has to say becomes reports."""
