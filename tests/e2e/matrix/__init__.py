"""Conversations that belong to no protocol, said and heard in all four."""
