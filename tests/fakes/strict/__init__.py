"""Providers that read what they are sent as strictly as the real ones do."""
