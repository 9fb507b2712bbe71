"""The far ends of our tests: a provider and proxies on loopback."""
