"""What leaves the station for others: an outbox that forgets nothing unsaid, and how it is drained."""
