"""mtl/model/machine.py: each thread computes with its own number of threads."""

import threading

import torch

from mtl.model.machine import one_thread, use_threads


def test_a_thread_keeps_its_number_of_threads_whatever_another_asks_for_before_its_first_sum():
    chosen, asked, seen = threading.Event(), threading.Event(), []

    def train() -> None:
        use_threads(2)
        chosen.set()
        asked.wait(10)
        torch.ones(10_000, 10).sum()
        seen.append(torch.get_num_threads())

    trainer = threading.Thread(target=train)
    trainer.start()
    chosen.wait(10)

    def answer() -> None:
        with one_thread():
            asked.set()
            trainer.join()

    page = threading.Thread(target=answer)
    page.start()
    page.join()
    assert seen == [2]
