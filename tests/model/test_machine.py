"""mtl/model/machine.py: each thread computes with its own number of threads."""

import threading

import torch

from mtl.model.machine import find_machine, one_thread, use_threads


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


def test_a_run_counts_on_no_more_threads_than_the_environment_allows(monkeypatch):
    for limit, wanted in (("2", 2), ("9", 4), ("", 4), ("many", 4)):
        monkeypatch.setenv("OMP_THREAD_LIMIT", limit)
        assert find_machine("cpu", "fp32", 4).threads == wanted
    monkeypatch.setenv("OMP_THREAD_LIMIT", "1")
    assert find_machine("cpu", "fp32", 0).threads == 1
