"""The keys and grants we call with."""
