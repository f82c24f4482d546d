"""One file per reason to restrict. Each turns the estimate into rows that the dispatch must obey; none knows another."""
