"""What `/metrics` says, read by Prometheus' own parser."""

from __future__ import annotations

import httpx
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families


class Scrape:
    """One look at the series of a daemon."""

    def __init__(self, url: str, path: str = "/metrics") -> None:
        answer = httpx.get(url + path, timeout=30)
        assert answer.status_code == 200, answer.text
        self.text = answer.text
        self.families: dict[str, Metric] = {
            family.name: family for family in text_string_to_metric_families(answer.text)
        }

    def value(self, name: str, **labels: str) -> float:
        """Sum of the samples of that name that carry those labels."""
        return sum(
            sample.value
            for family in self.families.values()
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def labels(self, name: str) -> list[dict[str, str]]:
        """Labels of each sample of that name."""
        return [
            sample.labels
            for family in self.families.values()
            for sample in family.samples
            if sample.name == name
        ]
