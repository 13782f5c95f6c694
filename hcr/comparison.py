"""Canary and stable version, compared by what the gateways count: errors, time, confidence, rejections, agreement."""

import http.client
import math
import os
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import click
from prometheus_client.parser import text_string_to_metric_families

Series = dict[tuple[str, tuple[tuple[str, str], ...]], float]
"""A sample's name and labels → its value."""

_CHANCE = 3.3
"""Standard deviations that a difference must exceed: less comes about by chance, once in a thousand looks."""
_CHANCE_OF_A_DISTANCE = 1.95
"""The same for the distance of two distributions (Kolmogorov and Smirnov, level 0.001)."""
_SLOW_QUANTILE = 0.9
_SLOWER_SECONDS = 0.02


class Unreadable(click.ClickException):
    """A gateway does not tell its metrics; the message says why."""


@dataclass(frozen=True)
class Limits:
    """What a canary may be worse by. Only differences that are beyond chance count."""

    requests: int = 50
    """Answers of the canary, and compared images, below which nothing is said of them."""
    errors: float = 0.01
    """Share of failed answers above that of the stable version."""
    slower: float = 2.0
    """Its 90th percentile of time, as a multiple of the stable version's; 20 ms more are always allowed."""
    confidence: float = 0.15
    """Distance of the distributions of confidence: the largest difference of their cumulative shares."""
    rejected: float = 0.05
    """Difference of the shares of rejected predictions, to either side."""
    agreement: float = 0.97
    """Share of mirrored images on which both must agree."""


@dataclass(frozen=True)
class Side:
    """What was counted of one version."""

    answered: float = 0
    failed: float = 0
    seconds: Mapping[float, float] = field(default_factory=dict)
    """Upper bound → answers that took so long at most."""
    confidences: Mapping[float, float] = field(default_factory=dict)
    """Upper bound → predictions with such a confidence at most."""
    rejected: float = 0

    @property
    def requests(self) -> float:
        return self.answered + self.failed

    @property
    def error_rate(self) -> float:
        return self.failed / self.requests if self.requests else 0.0

    @property
    def predictions(self) -> float:
        return self.confidences.get(math.inf, 0.0)

    @property
    def rejected_rate(self) -> float:
        return self.rejected / self.predictions if self.predictions else 0.0

    def quantile(self, share: float) -> float:
        """The time in seconds that this share of the answers took at most, interpolated between the bounds."""
        return _quantile(self.seconds, share)


@dataclass(frozen=True)
class Comparison:
    """Both sides, and the mirrored images on which they agreed or not. Errors of mirrored requests count as the canary's."""

    stable: Side
    canary: Side
    agreed: float
    differed: float

    @property
    def compared(self) -> float:
        return self.agreed + self.differed

    @property
    def agreement(self) -> float:
        return self.agreed / self.compared if self.compared else 1.0

    def problems(self, limits: Limits) -> list[str]:
        """What speaks against the canary, with the figures; nothing where there is too little to tell."""
        judges = (self._errors, self._time, self._confidence, self._rejections, self._agreement)
        return [told for judge in judges if (told := judge(limits))]

    def missing(self, limits: Limits, is_asked: bool, is_mirrored: bool) -> str:
        """What there is too little of to call a canary good that is asked, or is shown images; empty where there is enough."""
        if is_asked and self.canary.answered < limits.requests:
            return f"the canary gave {self.canary.answered:.0f} answers; at least {limits.requests} are needed"
        if is_mirrored and self.compared < limits.requests:
            return f"{self.compared:.0f} mirrored images were compared; at least {limits.requests} are needed"
        return ""

    def _errors(self, limits: Limits) -> str:
        ours, theirs = self.canary, self.stable
        difference = ours.error_rate - theirs.error_rate
        if ours.failed < 3 or difference <= limits.errors:
            return ""
        if difference <= _chance(ours.failed, ours.requests, theirs.failed, theirs.requests):
            return ""
        return f"errors {ours.error_rate:.1%} of {ours.requests:.0f} requests, stable {theirs.error_rate:.1%}"

    def _time(self, limits: Limits) -> str:
        if min(self.canary.answered, self.stable.answered) < limits.requests:
            return ""
        ours, theirs = self.canary.quantile(_SLOW_QUANTILE), self.stable.quantile(_SLOW_QUANTILE)
        if ours <= limits.slower * theirs + _SLOWER_SECONDS:
            return ""
        return f"slow: 90 % of its answers take up to {1e3 * ours:.0f} ms, stable {1e3 * theirs:.0f} ms"

    def _confidence(self, limits: Limits) -> str:
        ours, theirs = self.canary, self.stable
        if min(ours.predictions, theirs.predictions) < limits.requests:
            return ""
        distance = _distance(ours.confidences, theirs.confidences)
        noise = _CHANCE_OF_A_DISTANCE * math.sqrt(1 / ours.predictions + 1 / theirs.predictions)
        if distance <= max(limits.confidence, noise):
            return ""
        return f"confidence is distributed differently: distance {distance:.2f}, at most {limits.confidence:.2f} is accepted"

    def _rejections(self, limits: Limits) -> str:
        ours, theirs = self.canary, self.stable
        if min(ours.predictions, theirs.predictions) < limits.requests:
            return ""
        difference = abs(ours.rejected_rate - theirs.rejected_rate)
        noise = _chance(ours.rejected, ours.predictions, theirs.rejected, theirs.predictions)
        if difference <= max(limits.rejected, noise):
            return ""
        return f"rejects {ours.rejected_rate:.1%} of its predictions, stable {theirs.rejected_rate:.1%}"

    def _agreement(self, limits: Limits) -> str:
        if self.compared < limits.requests:
            return ""
        allowed = 1 - limits.agreement
        noise = _CHANCE * math.sqrt(self.compared * allowed * limits.agreement)
        if self.differed <= allowed * self.compared + noise:
            return ""
        return (
            f"agrees with stable on {self.agreement:.1%} of {self.compared:.0f} mirrored images, below {limits.agreement:.1%}"
        )


class Tally:
    """What the gateways count from now on, added up.

    Each one's increase is taken by itself, from one reading to the next: one that begins anew counts from zero, and one that
    is away takes nothing from the sum.
    """

    def __init__(self, urls: Sequence[str]) -> None:
        """Raises Unreadable where one of them does not answer."""
        self._last = {url: scrape(url) for url in urls}
        self._total: Series = {}

    def read(self) -> Series:
        """What was counted until now, by those that answer.

        Raises:
            Unreadable: none does.
        """
        failures = []
        for url, before in self._last.items():
            try:
                now = scrape(url)
            except Unreadable as error:
                failures.append(error)
                continue
            self._last[url] = now
            for key, increase in since(before, now).items():
                self._total[key] = self._total.get(key, 0.0) + increase
        if len(failures) == len(self._last):
            raise failures[0]
        return dict(self._total)


def scrape(url: str, timeout_seconds: float = 5.0) -> Series:
    """All that a gateway counts; HCR_KEY is the key, which needs the scope `operate`.

    Raises:
        Unreadable: it does not answer.
    """
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(_text(url, timeout_seconds))
        for sample in family.samples
    }


def since(before: Series, now: Series) -> Series:
    """What one gateway counted between the two readings; of a counter that began anew, all that it says."""
    return {key: value - (before.get(key, 0.0) if value >= before.get(key, 0.0) else 0.0) for key, value in now.items()}


def compare(counted: Series, model: str, canary: int, stable: int) -> Comparison:
    """The two versions of the model, by what was counted."""

    def total(name: str, **labels: str) -> float:
        wanted = {"model": model, **labels}.items()
        return sum(value for (series, found), value in counted.items() if series == name and wanted <= dict(found).items())

    def histogram(name: str, **labels: str) -> dict[float, float]:
        wanted = {"model": model, **labels}.items()
        buckets: dict[float, float] = {}
        for (series, found), value in counted.items():
            if series == f"{name}_bucket" and wanted <= dict(found).items():
                bound = float(dict(found)["le"])
                buckets[bound] = buckets.get(bound, 0.0) + value
        return dict(sorted(buckets.items()))

    def side(role: str, version: int) -> Side:
        return Side(
            answered=total("gateway_answers_total", role=role, outcome="ok"),
            failed=total("gateway_answers_total", role=role, outcome="error"),
            seconds=histogram("gateway_model_seconds", role=role),
            confidences=histogram("gateway_confidence", version=str(version)),
            rejected=total("gateway_rejected_total", version=str(version)),
        )

    ours = side("canary", canary)
    mirrored = total("gateway_answers_total", role="shadow", outcome="error")
    return Comparison(
        stable=side("stable", stable),
        canary=replace(ours, failed=ours.failed + mirrored),
        agreed=total("gateway_shadow_total", outcome="agrees"),
        differed=total("gateway_shadow_total", outcome="differs"),
    )


def _text(url: str, timeout_seconds: float) -> str:
    headers = {"X-API-Key": os.environ["HCR_KEY"]} if os.environ.get("HCR_KEY") else {}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=timeout_seconds) as response:
            return str(response.read().decode("utf-8"))
    except urllib.error.HTTPError as error:
        raise Unreadable(f"{url} answered {error.code} {error.reason}; with keys, HCR_KEY needs the scope operate") from None
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise Unreadable(f"no metrics at {url}: {getattr(error, 'reason', error)}") from None


def _quantile(buckets: Mapping[float, float], share: float) -> float:
    wanted = share * buckets.get(math.inf, 0.0)
    lower, below = 0.0, 0.0
    for bound, count in buckets.items():
        if count >= wanted and count > below:
            return lower if math.isinf(bound) else lower + (bound - lower) * (wanted - below) / (count - below)
        lower, below = bound, count
    return 0.0


def _distance(ours: Mapping[float, float], theirs: Mapping[float, float]) -> float:
    return max(abs(ours[bound] / ours[math.inf] - theirs.get(bound, 0.0) / theirs[math.inf]) for bound in ours)


def _chance(ours: float, of_ours: float, theirs: float, of_theirs: float) -> float:
    """The difference of two shares that chance explains."""
    if not of_ours or not of_theirs:
        return 0.0
    pooled = (ours + theirs) / (of_ours + of_theirs)
    return _CHANCE * math.sqrt(pooled * (1 - pooled) * (1 / of_ours + 1 / of_theirs))
