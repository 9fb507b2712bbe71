"""Bytes of the web, without meaning."""
