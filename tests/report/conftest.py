"""The folder of these tests is that of the ledger's."""

from tests.ledger.conftest import tmp_path

__all__ = ["tmp_path"]
