"""Apprise: a notification with everything that it can say, a long text, and a file."""

import sys

import apprise

server, file = sys.argv[1:]
notifier = apprise.Apprise()
query = "priority=high&tags=warning,door&click=https://example.org/door&image=no"
assert notifier.add(f"ntfy://{server}/door?{query}")
assert notifier.notify(title="Überwachung 🔔", body="Somebody is at the door: ü 🔔")
assert notifier.notify(body="line\n" * 1200)
assert notifier.notify(title="A picture", body="of the door", attach=file)
later = apprise.Apprise()
assert later.add(f"ntfy://{server}/door?delay=1h")
assert later.notify(body="later")
