"""The pipeline from a client's request to its answer."""
