"""A short text behind books, with a real worker: Celery's queues hold little enough for the ledger's turns to count."""

from __future__ import annotations

import pytest
from narrating import Farm, sentences

from producer.contract.narration import Narration
from producer.contract.status import State

pytestmark = pytest.mark.integration

BOOKS, BOOK_SEGMENTS = 4, 100


def test_a_short_text_does_not_wait_for_books_that_came_before(settings, start_worker):
    farm = Farm(settings)
    # One at a time, as a GPU of one slot would: what is done is the clock.
    start_worker(env={"CHATTERQUEUE_TONE_SEGMENT_S": "0.05"})
    books = farm.submit(
        *(Narration(text=f"Book {number}. " + sentences(BOOK_SEGMENTS), engine="tone") for number in range(BOOKS))
    )
    for book in books:
        farm.wait_for(book, lambda status: status.num_done >= 2, "every book has its turns")
    num_before = sum(farm.status(book).num_done for book in books)
    (short,) = farm.submit(Narration(text="Short. " + sentences(10), engine="tone"))
    assert farm.wait(short).state is State.SUCCEEDED
    num_after = sum(farm.status(book).num_done for book in books)
    # First in, first out would let everything that the books have queued go first.
    assert num_after < BOOKS * BOOK_SEGMENTS
    assert num_after - num_before < 150
    assert not any(farm.status(book).state.is_terminal for book in books)
    for book in books:
        farm.ledger.cancel(book)
