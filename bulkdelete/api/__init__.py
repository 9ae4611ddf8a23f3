"""The only rooms that hold an API key: where it comes from, and the one client that sends it."""
