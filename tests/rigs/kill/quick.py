"""`python -m bulkdelete`, with doubts that settle in a moment instead of a minute. Nothing else is changed."""

from functools import partial

from bulkdelete.cli import given, main
from bulkdelete.settings import Settings

vars(given)["Settings"] = partial(Settings, settling_delay_s=0.2, backoff_s=0.1)

main()
