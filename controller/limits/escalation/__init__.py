"""What happens when the dispatch does not bring a limit back: trim, hold, trip one by one, trip all."""
