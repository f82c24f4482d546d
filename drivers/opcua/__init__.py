"""OPC UA: one session per connection, points found anew each time, quality carried as the server gives it."""
