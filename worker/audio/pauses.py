"""How long the silence after a segment is. Knows nothing of files."""

from __future__ import annotations

from typing import Final

from producer.contract.plan import Boundary

#: Milliseconds of silence. Readers of audiobooks take about a third of a second after a sentence and twice that after
#: a paragraph; models leave some silence at the edges of a take already, so these are at the lower end.
PAUSES_MS: Final = {
    Boundary.CLAUSE: 120,  # a breath: the sentence goes on, and longer would sound like its end
    Boundary.SENTENCE: 300,
    Boundary.PARAGRAPH: 700,
    Boundary.HEADING: 1_000,  # long enough to tell a title from the text around it
    Boundary.END: 500,  # many players cut off the last tenths of a file
}


def pause_samples(boundary: Boundary, sample_rate_hz: int) -> int:
    """Return the number of silent samples after a segment."""
    return PAUSES_MS[boundary] * sample_rate_hz // 1_000
