"""Numbers that are given once."""

import threading

from dugong_like.polling.counter import Counter


def test_threads_take_each_number_once():
    counter, taken = Counter(), []

    def take():
        taken.extend([counter.take() for _ in range(2000)])

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == [*range(1, 8001)]
