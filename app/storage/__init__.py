"""Keeps records; implements the stores other packages ask for."""
