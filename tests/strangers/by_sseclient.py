"""sseclient: prints each event, and comes back by itself with the last id that it saw."""

import json
import sys

import sseclient

for event in sseclient.SSEClient(f"http://{sys.argv[1]}/door/sse"):
    if event.data and event.event == "message":
        print(json.loads(event.data)["message"], flush=True)
    elif event.event:
        print(f"({event.event})", flush=True)
