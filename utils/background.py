"""Background tasks that live as long as a block."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from utils.micro_batching import run_to_completion


@asynccontextmanager
async def running(work: Coroutine[Any, Any, object]) -> AsyncIterator[None]:
    """Start the work beside the block; at the block's end cancel it and wait until it is over.

    An exception that the work raised by itself is raised at the end of the block. A caller that is
    cancelled meanwhile stops when the work is over, not before.
    """
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await run_to_completion(asyncio.wait([task]))
        if not task.cancelled():
            task.result()
