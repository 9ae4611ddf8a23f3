"""`python -m bulkdelete`."""

from bulkdelete.cli import main

main()
