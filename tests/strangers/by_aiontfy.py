"""aiontfy, by which Home Assistant publishes and listens."""

import asyncio
import sys

import aiohttp
from aiontfy import BroadcastAction, HttpAction, Message, Ntfy, ViewAction
from aiontfy.exceptions import NtfyNotFoundPageError
from yarl import URL


async def main(server: str) -> None:
    async with aiohttp.ClientSession() as session:
        ntfy = Ntfy(f"http://{server}", session)
        account = await ntfy.account()
        assert account.username == "*" and account.role == "anonymous", account
        heard = asyncio.Queue()
        listening = asyncio.create_task(ntfy.subscribe(["door", "gate"], heard.put_nowait))
        assert (await heard.get()).event == "open"

        message = Message(
            topic="door",
            title="Überwachung",
            message="Somebody is at the door: ü 🔔",
            tags=["warning"],
            priority=4,
            click=URL("https://example.org/door"),
            icon=URL("https://example.org/bell.png"),
            attach=URL("https://example.org/door.jpg"),
            markdown=True,
            sequence_id="visit",
            actions=[
                HttpAction(label="Open", url=URL("https://example.org/open")),
                BroadcastAction(label="Tell"),
                ViewAction(label="Look", url=URL("https://example.org/look")),
            ],
        )
        published = await ntfy.publish(message)
        assert await heard.get() == published
        for member in ("title", "message", "tags", "priority", "click", "icon", "sequence_id"):
            assert getattr(published, member) == getattr(message, member), member
        assert published.attachment.url == message.attach
        assert [action.label for action in published.actions] == ["Open", "Tell", "Look"]

        file = await ntfy.publish(
            Message(topic="gate", filename="gate.bin", message="a file\nof two lines"),
            attachment=bytes(range(256)),
        )
        assert await heard.get() == file
        assert (file.attachment.name, file.attachment.size) == ("gate.bin", 256)
        async with session.get(file.attachment.url) as answer:
            assert await answer.read() == bytes(range(256))

        for act, event in ((ntfy.clear, "message_clear"), (ntfy.delete, "message_delete")):
            done = await act("door", "visit")
            assert (done.event, done.sequence_id) == (event, "visit")
            assert await heard.get() == done
        assert (await ntfy.stats()).messages >= 2
        # Who looks for a newer release of ntfy is not to find one for this server.
        try:
            await ntfy.version()
        except NtfyNotFoundPageError:
            pass
        listening.cancel()


asyncio.run(asyncio.wait_for(main(sys.argv[1]), 30))
