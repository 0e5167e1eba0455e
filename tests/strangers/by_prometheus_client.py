"""The parsers of prometheus_client: each of the two formats, and what it reads in them."""

import sys

import requests
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as text

url = f"http://{sys.argv[1]}/metrics"
openmetrics = "application/openmetrics-text; version=1.0.0"
for accept, parse in (("text/plain; version=0.0.4", text), (openmetrics, open_metrics)):
    answer = requests.get(url, headers={"Accept": accept}, timeout=30)
    assert answer.headers["Content-Type"].split(";")[0] == accept.split(";")[0]
    families = list(parse(answer.text))
    kinds = {family.type for family in families}
    assert {"counter", "gauge", "histogram"} <= kinds, kinds
    assert all(family.documentation for family in families)
    print(sum(len(family.samples) for family in families), "samples")
