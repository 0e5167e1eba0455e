"""requests: what it sends where a header is not ASCII, forms, files, and a stream read line by line."""

import json
import sys

import requests

url = f"http://{sys.argv[1]}/door"
session = requests.Session()
assert session.post(url, "plain", headers={"Title": "Überwachung"}).json()["title"] == "Überwachung"
assert session.post(url, "plain", headers={"Title": "Звонок 🔔".encode()}).json()["title"] == "Звонок 🔔"
assert session.put(url, params={"title": "a title", "message": "a text\\nof two"}).ok
assert session.post(f"http://{sys.argv[1]}/", json={"topic": "door", "message": "ü"}).ok
with open(sys.argv[2], "rb") as file:
    answer = session.put(url, data=file, headers={"Filename": "door.bin"})
assert answer.json()["attachment"]["name"] == "door.bin"
refused = session.post(url, "x", headers={"Priority": "17"})
assert (refused.status_code, refused.json()["code"]) == (400, 40007)

with session.get(f"{url}/json", params={"since": "all"}, stream=True, timeout=30) as answer:
    lines = (json.loads(line) for line in answer.iter_lines(chunk_size=1))
    events = [next(lines) for _ in range(6)]
assert [event["event"] for event in events] == ["open"] + 5 * ["message"]
assert [event["message"] for event in events[1:]][:4] == ["plain", "plain", "a text\nof two", "ü"]
