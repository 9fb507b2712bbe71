"""The benchmark: what the gateway costs beside a bare application on the same stack."""
