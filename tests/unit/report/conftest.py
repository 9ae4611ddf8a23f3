"""The folder of these tests is that of the ledger's."""

from tests.unit.ledger.conftest import tmp_path

__all__ = ["tmp_path"]
