"""Sends one request, yields the bytes that return."""
