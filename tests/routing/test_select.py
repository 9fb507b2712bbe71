from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from app.config.schema import Config
from app.routing.catalog import Catalog, Route
from app.routing.select import Rotation
from tests.routing.credentials import credential


def route(name: str = "a", **priorities: int) -> Route:
    made = [
        credential(key, models={name: name}, priority=value) for key, value in priorities.items()
    ]
    return Catalog(Config(), made).resolve(name)


def ids(rotation: Rotation, wanted: Route) -> str:
    return "".join(candidate.credential.id for candidate in rotation.order(wanted))


def test_each_call_starts_one_further() -> None:
    rotation, wanted = Rotation(), route(x=0, y=0, z=0)
    assert [ids(rotation, wanted) for _ in range(4)] == ["xyz", "yzx", "zxy", "xyz"]


def test_a_higher_priority_goes_first_whatever_the_turn() -> None:
    rotation, wanted = Rotation(), route(l=0, x=5, y=5, m=0)
    assert [ids(rotation, wanted) for _ in range(3)] == ["xylm", "yxml", "xylm"]


def test_each_alias_has_its_own_turn() -> None:
    rotation, one, other = Rotation(), route("a", x=0, y=0), route("b", x=0, y=0)
    assert [ids(rotation, r) for r in (one, other, one, other)] == ["xy", "xy", "yx", "yx"]


def test_a_single_candidate_takes_no_turn() -> None:
    assert ids(Rotation(), route(x=0)) == "x"


def test_the_order_is_the_callers_to_change() -> None:
    rotation, wanted = Rotation(), route(x=0)
    rotation.order(wanted).clear()
    assert ids(rotation, wanted) == "x"


def test_turns_are_shared_fairly_by_many_threads() -> None:
    rotation, wanted = Rotation(), route(x=0, y=0, z=0)
    with ThreadPoolExecutor(8) as pool:
        firsts = Counter(pool.map(lambda _: ids(rotation, wanted)[0], range(3000)))
    assert firsts == {"x": 1000, "y": 1000, "z": 1000}


def test_names_that_clients_make_up_do_not_pile_up() -> None:
    rotation, wanted = Rotation(), route(x=0, y=0)
    assert ids(rotation, wanted) == "xy"
    for number in range(4096):
        rotation.order(Route(f"gpt-{number}", wanted.tiers))
    assert ids(rotation, wanted) == "xy"  # forgotten, and started over
