"""websocket-client: a listener with callbacks, which asks for a sign of life of its own."""

import json
import sys

import websocket


def on_message(_, text):
    event = json.loads(text)
    print(event.get("message", f"({event['event']})"), flush=True)


websocket.WebSocketApp(
    f"ws://{sys.argv[1]}/door/ws",
    on_open=lambda app: app.sock.ping("are you there?"),
    on_message=on_message,
    on_pong=lambda _, payload: print(f"(pong: {payload.decode()})", flush=True),
    on_close=lambda _, code, reason: print(f"({code})", flush=True),
).run_forever()
