"""Where in the text a speech is goes from the decoder into the take, of the attempt that was heard."""

from __future__ import annotations

from batchingfakes import Bench, segment


def test_a_take_says_where_in_the_text_it_is_if_the_decoder_does() -> None:
    bench = Bench()
    watched = bench.loop.submit(segment(num_tokens=4, is_watched=True))
    again = bench.loop.submit(segment(num_tokens=3, num_endless=1, is_watched=True))
    plain = bench.loop.submit(segment(num_tokens=4))
    bench.run()
    positions = [future.result(0).text_positions for future in (watched, again, plain)]
    assert positions[0].tolist() == [0, 1, 2, 3]
    assert positions[1].tolist() == [0, 1, 2]
    assert positions[2] is None
    assert plain.result(0).text_spans is None
