"""The first pass over the takes: what is heard of each, and how loud they are together. Writes nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace

from producer.contract.manifest import TakeFacts
from worker.audio.branch import Branch
from worker.audio.forecast import LimiterForecast
from worker.audio.joining import joined
from worker.audio.loudness import Measurement
from worker.audio.meter import LoudnessMeter
from worker.audio.reading import SegmentSource, usable_takes
from worker.audio.trimming import Span, heard_span
from worker.audio.words import Words


@dataclass(frozen=True, slots=True)
class Survey:
    """What the takes are like."""

    #: Index -> the part of the take that is heard.
    heard: Mapping[int, Span]
    #: None: nobody wanted to know.
    measurement: Measurement | None
    #: Index -> when its words are said, in the take's own time; empty if that is not known.
    words: Mapping[int, Words] = field(default_factory=dict)

    @property
    def num_heard_samples(self) -> int:
        """Samples that are no pause."""
        return sum(span.num_samples for span in self.heard.values())


def survey(
    takes: Mapping[int, TakeFacts],
    pauses: Mapping[int, int],
    source: SegmentSource,
    rate_hz: int,
    *,
    is_measured: bool,
    progress: Callable[[], None],
) -> Survey:
    """Read every take once.

    Args:
        takes: index -> take, in order.
        pauses: index -> silent samples after it.
        source: where they lie.
        rate_hz: the sample rate of all of them.
        is_measured: whether to find out how loud they are.
        progress: called after each one.

    Raises:
        SegmentsUnusableError: stored segments are gone or broken.
        StorageUnavailableError: S3 stayed away.
    """
    heard, words = {}, {}
    forecast = LimiterForecast()
    meter = LoudnessMeter(rate_hz, forecast)
    measuring = Branch(meter.feed, name="survey")
    with measuring, closing(usable_takes(source, takes, progress)) as stored_takes:
        for index, stored in stored_takes:
            heard[index], words[index] = heard_span(stored.samples, rate_hz), stored.words
            if is_measured:
                measuring.feed(joined(stored.samples, heard[index], pauses[index], rate_hz))
    found = Survey(heard, None, words)
    if not is_measured:
        return found
    meter.close()
    return replace(found, measurement=Measurement(meter.integrated_lufs(found.num_heard_samples), forecast))
