"""The only package that handles an API key: it reads the key, and its client sends the requests. It must never retry or log."""

__all__: list[str] = []
