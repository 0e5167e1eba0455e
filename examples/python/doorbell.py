#!/usr/bin/env python3
"""A client of doorbell over HTTP, with nothing but Python's standard library.

    python3 doorbell.py subscribe http://127.0.0.1:8080 demo [COUNT]
    python3 doorbell.py publish http://127.0.0.1:8080 demo somebody is here

A token is taken from DOORBELL_TOKEN. As a module it has publish() and subscribe(). A subscription
comes back by itself, resumes where it was and says what was lost. It knows no proxies of the
environment and keeps no place over its own end.
"""

import http.client
import json
import os
import random
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

# Seconds without a sign of life after which a connection counts as dead. The server gives one every
# 40 s.
SILENCE = 120
# Seconds of the longest pause before another attempt.
PAUSE_MAX = 10


def _open(server, path, token, data=None, headers=None):
    request = urllib.request.Request(server.rstrip("/") + path, data=data, headers=headers or {})
    if token:
        request.add_header("Authorization", "Bearer " + token)
    return urllib.request.urlopen(request, timeout=SILENCE)


def publish(server, topic, message, token=None, **parameters):
    """Publish a message and return the event that was stored, a dict with its id.

    parameters are those of the protocol: title, priority, tags, click, ... Raises
    urllib.error.HTTPError if the server refuses.
    """
    body = json.dumps({"topic": topic, "message": message, **parameters}).encode()
    headers = {"Content-Type": "application/json"}
    with _open(server, "/", token, body, headers) as answer:
        return json.load(answer)


def subscribe(server, topics, since="none", token=None):
    """Yield each event that was published, for ever. One may have a member "gap": what was lost.

    topics is a topic, a comma list or a pattern, since a place: an id, "10m", "all", "none" or
    "latest". Raises urllib.error.HTTPError if the server refuses for good.
    """
    pause = 0.1
    while True:
        query = urllib.parse.urlencode({"since": since})
        try:
            with _open(server, f"/{urllib.parse.quote(topics)}/json?{query}", token) as stream:
                for line in stream:
                    event = json.loads(line)
                    # Signs of life have a place as well, so that nothing is missed after them.
                    since = event.get("id", since)
                    pause = 0.1
                    if event["event"] not in ("open", "keepalive") or "gap" in event:
                        yield event
        except urllib.error.HTTPError as error:
            # Too many requests, or a server that is stopping: everything else will not change.
            if error.code != 429 and error.code < 500:
                raise
        except (OSError, ValueError, http.client.HTTPException):
            pass
        time.sleep(random.uniform(0, pause))
        pause = min(pause * 2, PAUSE_MAX)


def _main(words):
    token = os.environ.get("DOORBELL_TOKEN")
    match words:
        case ["publish", server, topic, _, *_]:
            print(publish(server, topic, " ".join(words[3:]), token)["id"])
        case ["subscribe", server, topics, *rest] if len(rest) < 2:
            left = int(rest[0]) if rest else -1
            for event in subscribe(server, topics, token=token):
                if "gap" in event:
                    print("lost:", event["gap"], file=sys.stderr)
                if event["event"] == "message":
                    print(event["message"], flush=True)
                    left -= 1
                if left == 0:
                    return
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    try:
        _main(sys.argv[1:])
    except urllib.error.HTTPError as error:
        sys.exit(f"refused: {error.read().decode(errors='replace').strip()}")
    except KeyboardInterrupt:
        pass
