"""The client's side: one thin blueprint for each protocol."""
