"""The core: pure functions of values. It has no clock, no randomness, no I/O and no logging."""

__all__: list[str] = []
