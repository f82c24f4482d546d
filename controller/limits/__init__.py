"""One file per reason to restrict; each turns the estimate into rows for the dispatch, none knows another."""
