"""websockets: an iterator that connects again whenever its connection ends."""

import asyncio
import json
import sys

from websockets.asyncio.client import connect


async def main(server: str) -> None:
    async for socket in connect(f"ws://{server}/door/ws"):
        async for text in socket:
            event = json.loads(text)
            print(event.get("message", f"({event['event']})"), flush=True)
        print(f"({socket.close_code})", flush=True)


asyncio.run(main(sys.argv[1]))
