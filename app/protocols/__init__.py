"""How it is said: one codec for each protocol."""
