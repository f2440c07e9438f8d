from ui.page.conversation.shelf import Shelf


def test_what_is_kept_is_found_by_its_key_and_by_no_other() -> None:
    shelf: Shelf[str] = Shelf(most=3, seconds=60)
    key = shelf.put("a")
    assert shelf.get(key) == "a"
    assert shelf.get("b") is None
    shelf.put("c", key)
    assert shelf.get(key) == "c"


def test_the_oldest_goes_where_there_are_too_many() -> None:
    shelf: Shelf[int] = Shelf(most=2, seconds=60)
    keys = [shelf.put(i) for i in range(3)]
    assert [shelf.get(key) for key in keys] == [None, 1, 2]


def test_what_nobody_asks_for_goes_after_its_time() -> None:
    now = [0.0]
    shelf: Shelf[int] = Shelf(most=9, seconds=10, clock=lambda: now[0])
    old, used = shelf.put(1), shelf.put(2)
    now[0] = 8
    assert shelf.get(used) == 2
    now[0] = 12
    assert shelf.get(old) is None
    assert shelf.get(used) == 2


def test_together_they_weigh_no_more_than_they_may_but_the_newest_stays() -> None:
    shelf: Shelf[int] = Shelf(most=9, seconds=60, weight=float, heaviest=10)
    keys = [shelf.put(n) for n in (4, 5, 3, 99)]
    assert [shelf.get(key) for key in keys] == [None, None, None, 99]
    keys = [shelf.put(n) for n in (4, 5)]
    assert [shelf.get(key) for key in keys] == [4, 5]
