"""What is said, in no vendor's shape."""
