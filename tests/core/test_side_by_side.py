import os
import threading

import pytest

from pipelines.core.side_by_side import side_by_side


@pytest.fixture(autouse=True)
def two_cores(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 2)


def test_they_are_worked_on_together_and_come_in_order_however_long_each_takes():
    second_is_done = threading.Event()

    def work(item: int) -> int:
        if item == 0:
            assert second_is_done.wait(10)
        second_is_done.set()
        return 10 * item

    assert list(side_by_side(work, range(5))) == [0, 10, 20, 30, 40]
    assert not list(side_by_side(work, []))


def test_what_has_not_begun_is_left_when_nobody_listens_any_more():
    begun: list[int] = []

    def leave_at_once() -> None:
        for _ in side_by_side(begun.append, range(100_000)):
            raise KeyError

    with pytest.raises(KeyError):
        leave_at_once()
    assert len(begun) < 100_000


def test_a_fault_in_one_is_a_fault_of_all():
    with pytest.raises(ZeroDivisionError):
        list(side_by_side(lambda item: 1 / item, (1, 0, 2)))
