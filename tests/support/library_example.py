"""Delete the orders of three accounts with two keys, and record each attempt as a line of JSON."""

import asyncio
import json
from pathlib import Path

from bulkdelete import ApiKey, AttemptEnded, Credential, Event, Session, Settings, Source, State

NORTH = Credential(ApiKey("north-rehearsal"), frozenset({71, 72}))  # a key, and the accounts that it serves
SOUTH = Credential(ApiKey("south-rehearsal"), frozenset({73}))


def record(event: Event) -> None:
    """Called in the event loop, so it must return at once."""
    if isinstance(event, AttemptEnded):
        print(
            json.dumps({"account": event.order.account_id, "order": event.order.order_id, "result": str(event.result)})
        )


async def main() -> None:
    settings = Settings(ledger=Path("orders.db"), api_url="http://127.0.0.1:8765", revert_stock=False)
    async with Session(settings, on_event=record) as session:  # leaving it unlocks the ledger, whatever is raised
        proposal = await session.propose(Source("orders.csv"))  # nothing is armed yet
        await proposal.check_keys([NORTH, SOUTH])  # raises UsageError if an account has no key
        print(f"{proposal.plan.orders} orders, {proposal.plan.to_send} to send")
        job = await proposal.confirm(expect=12)  # any other number of orders than 12 raises NothingSent
        summary = await job.delete([NORTH, SOUTH])
    print(f"exit code {summary.exit_code}: {summary.counts[State.DELETED]} deleted")


asyncio.run(main())
