"""The version of this program: it stands in each ledger, in each request, and in the package."""

__all__ = ["__version__"]

__version__ = "0.1.0"
