"""Properties of the reader: a machine that is busy with something else must not fail them."""

from hypothesis import settings

settings.register_profile("unhurried", parent=settings(), deadline=None)
settings.load_profile("unhurried")
