"""A browser session without a browser: it speaks Streamlit's protocol, and asks for a refresh whenever a page would."""

import asyncio
import time
from dataclasses import dataclass, field

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import ClientConnection, connect


@dataclass
class Seen:
    """Seconds from asking for each refresh to having all of it; `failures` are exceptions that a page would show."""

    refreshes: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


async def look(url: str, run: int, until: asyncio.Event, seen: Seen) -> None:
    """Open the page of `run` at `url` ("ws://host:port") and look until the event is set."""
    async with connect(f"{url}/_stcore/stream", subprotocols=["streamlit"], max_size=None) as socket:  # type: ignore[list-item]
        message = BackMsg()
        message.rerun_script.query_string = f"run={run}"
        await socket.send(message.SerializeToString())
        listener = asyncio.create_task(_listen(socket, run, seen))
        ended = asyncio.create_task(until.wait())
        await asyncio.wait([listener, ended], return_when=asyncio.FIRST_COMPLETED)
        if listener.done():
            seen.failures.append(f"the session ended: {listener.exception()}")
        listener.cancel()


async def _listen(socket: ClientConnection, run: int, seen: Seen) -> None:
    """Take what the server sends; its orders to refresh are carried out one at a time, like in a browser."""
    timers: dict[tuple[str, float], asyncio.Task[None]] = {}
    asked: dict[str, float] = {}
    page = ""

    async def refresh(fragment: str, interval: float) -> None:
        while True:
            await asyncio.sleep(interval)
            if fragment in asked:
                continue
            message = BackMsg()
            message.rerun_script.query_string = f"run={run}"
            message.rerun_script.fragment_id = fragment
            message.rerun_script.page_script_hash = page
            message.rerun_script.is_auto_rerun = True
            asked[fragment] = time.perf_counter()
            await socket.send(message.SerializeToString())

    try:
        async for data in socket:
            message = ForwardMsg()
            message.ParseFromString(data if isinstance(data, bytes) else data.encode())
            match message.WhichOneof("type"):
                case "new_session":
                    page = message.new_session.page_script_hash
                case "auto_rerun":
                    order = (message.auto_rerun.fragment_id, message.auto_rerun.interval)
                    if order not in timers:  # The page has one part that refreshes itself.
                        for timer in timers.values():
                            timer.cancel()
                        timers = {order: asyncio.create_task(refresh(*order))}
                case "delta" if message.delta.new_element.WhichOneof("type") == "exception":
                    seen.failures.append(message.delta.new_element.exception.message)
                case "script_finished":
                    now = time.perf_counter()
                    seen.refreshes += [now - at for at in asked.values()]
                    asked.clear()
    finally:
        for timer in timers.values():
            timer.cancel()
