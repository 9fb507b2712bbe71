"""An edit is seen, a broken one keeps the old state."""

from __future__ import annotations

import logging
import os
import threading
from pathlib import Path

import pytest

from app.config.load import load
from app.config.schema import Config
from app.config.watch import ConfigWatcher, needing_restart
from app.errors import ConfigError

ENVIRON = {"HOME": "/home/nobody"}


class Watched:
    """A real file and the watcher on it; ``changes`` are the ports it told of."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.changes: list[int] = []
        self.failure: Exception | None = None
        self.environ = dict(ENVIRON)
        self._age_s = 1000.0
        self.write("port: 1")
        self.watcher = ConfigWatcher(path, self.environ, self._changed)
        self.settle()

    def _changed(self, config: Config) -> None:
        if self.failure is not None:
            raise self.failure
        self.changes.append(config.port)

    def write(self, text: str) -> None:
        """Write in place; the time stamp says that it was long ago, and is a new one."""
        self.path.write_text(text)
        self.date()

    def date(self) -> None:
        self._age_s -= 1
        at = 1_700_000_000 - self._age_s
        os.utime(self.path, (at, at))

    def settle(self) -> None:
        self.watcher.poll()
        self.watcher.poll()

    @property
    def port(self) -> int:
        return self.watcher.current.port


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path / "config.yaml")


def test_the_first_state_is_loaded(watched: Watched) -> None:
    assert watched.port == 1
    assert watched.changes == []
    assert watched.watcher.error is None
    assert [warning.key for warning in watched.watcher.warnings] == ["api-keys"]
    assert watched.watcher.loaded_at.tzinfo is not None


def test_a_broken_file_at_the_start_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("port: x")
    with pytest.raises(ConfigError):
        ConfigWatcher(tmp_path / "config.yaml", ENVIRON, lambda config: None)


def test_a_state_that_was_loaded_already_is_not_loaded_again(watched: Watched) -> None:
    loaded = load(watched.path, ENVIRON)
    again = ConfigWatcher(watched.path, ENVIRON, watched._changed, loaded)
    again.poll()
    again.poll()
    assert again.current is loaded.config
    assert watched.changes == []


def test_an_edit_in_place_is_seen(watched: Watched) -> None:
    before = watched.watcher.loaded_at
    watched.write("port: 2")
    watched.settle()
    assert (watched.port, watched.changes) == (2, [2])
    assert watched.watcher.loaded_at >= before


def test_a_replacement_by_rename_is_seen(watched: Watched) -> None:
    new = watched.path.with_name(".config.yaml.swp")
    new.write_text("port: 2")
    os.replace(new, watched.path)
    watched.settle()
    assert watched.changes == [2]


def test_a_replacement_with_the_time_and_size_of_the_old_file_is_seen(watched: Watched) -> None:
    old = watched.path.stat()
    new = watched.path.with_name("other")
    new.write_text("port: 2")
    os.utime(new, ns=(old.st_atime_ns, old.st_mtime_ns))
    os.replace(new, watched.path)
    watched.settle()
    assert watched.changes == [2]


def test_a_link_that_is_turned_to_another_file_is_seen(watched: Watched) -> None:
    first, second = watched.path.with_name("first"), watched.path.with_name("second")
    watched.path.rename(first)
    second.write_text("port: 2")
    watched.path.symlink_to(first)
    watched.settle()
    fresh = watched.path.with_name("link")
    fresh.symlink_to(second)
    os.replace(fresh, watched.path)
    watched.settle()
    assert watched.changes == [2]


def test_a_file_that_is_just_being_written_is_waited_for(watched: Watched) -> None:
    watched.path.write_text("port: 2")
    ahead = 4_000_000_000  # a stamp that no wait of this test can make old
    os.utime(watched.path, (ahead, ahead))
    watched.watcher.poll()
    assert watched.changes == []
    watched.path.write_text("port: 3")
    os.utime(watched.path, (ahead + 1, ahead + 1))
    watched.watcher.poll()
    assert watched.changes == []
    watched.watcher.poll()
    assert watched.changes == [3]


def test_a_change_within_the_grain_of_the_time_stamp_is_seen(watched: Watched) -> None:
    ahead = 4_000_000_000  # a stamp that stays fresh however long this test takes
    for port in (2, 3):
        watched.path.write_text(f"port: {port}")
        os.utime(watched.path, (ahead, ahead))
        watched.settle()
    assert watched.changes == [2, 3]


def test_the_same_content_is_no_change(watched: Watched) -> None:
    before = watched.watcher.current
    watched.write("port: 1")
    watched.settle()
    assert watched.watcher.current is before
    assert watched.changes == []


def test_another_comment_is_no_change(watched: Watched) -> None:
    before = watched.watcher.current
    watched.write("port: 1 # the first\nprot: 1")
    watched.settle()
    assert watched.watcher.current is before
    assert watched.changes == []
    assert "prot" in [warning.key for warning in watched.watcher.warnings]


@pytest.mark.parametrize("content", ["", "\n  \n"])
def test_an_emptied_file_is_taken_for_one_being_written(watched: Watched, content: str) -> None:
    watched.write(content)
    watched.settle()
    assert (watched.port, watched.watcher.error) == (1, None)
    watched.write("port: 2")
    watched.settle()
    assert watched.changes == [2]


def test_a_broken_edit_keeps_the_old_state_and_is_logged_once(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    watched.write("port: x\ndebug: 7\napi-keys: [sk-very-secret]")
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            watched.settle()
            watched.date()
    assert (watched.port, watched.changes) == (1, [])
    error = watched.watcher.error
    assert error is not None
    assert (error.line, error.key) == (1, "port")
    assert [record.getMessage() for record in caplog.records] == [
        f"the old configuration stays in force: {error}",
        f"the old configuration stays in force: {error.__notes__[0]}",
    ]
    assert "secret" not in caplog.text


def test_a_mended_edit_counts(watched: Watched) -> None:
    watched.write("port: x")
    watched.settle()
    watched.write("port: 2")
    watched.settle()
    assert watched.watcher.error is None
    assert watched.changes == [2]


def test_a_broken_edit_taken_back_clears_the_error(watched: Watched) -> None:
    watched.write("port: x")
    watched.settle()
    watched.write("port: 1")
    watched.settle()
    assert watched.watcher.error is None
    assert watched.changes == []


def test_a_file_gone_for_a_moment_is_an_editor_s_rename(watched: Watched) -> None:
    kept = watched.path.read_text()
    watched.path.unlink()
    watched.settle()
    assert watched.watcher.error is None
    watched.write(kept)
    watched.settle()
    assert (watched.watcher.error, watched.changes) == (None, [])


def test_a_file_gone_for_good_is_told_and_its_return_seen(watched: Watched) -> None:
    kept = watched.path.read_text()
    watched.path.unlink()
    for _ in range(10):
        watched.watcher.poll()
    assert watched.watcher.error is not None
    assert "No such file or directory" in watched.watcher.error.message
    assert watched.port == 1
    watched.write(kept)
    watched.settle()
    assert watched.watcher.error is None


def test_a_directory_in_the_file_s_place_is_told_and_its_end_seen(watched: Watched) -> None:
    watched.path.unlink()
    watched.path.mkdir()
    watched.date()
    watched.settle()
    assert watched.watcher.error is not None
    watched.path.rmdir()
    watched.write("port: 1")
    watched.settle()
    assert watched.watcher.error is None


def test_reload_now_does_not_wait(watched: Watched) -> None:
    watched.path.write_text("port: 2")
    watched.watcher.reload_now()
    assert watched.changes == [2]


def test_reload_now_sees_a_secret_behind_an_unchanged_file(watched: Watched) -> None:
    watched.write("port: 2\napi-keys: [env://KEY]")
    watched.environ["KEY"] = "old"
    watched.settle()
    watched.environ["KEY"] = "new"
    watched.settle()
    assert watched.watcher.current.api_keys == ("old",)
    watched.watcher.reload_now()
    assert watched.watcher.current.api_keys == ("new",)
    assert watched.changes == [2, 2]


def test_reload_now_keeps_the_old_state_too(watched: Watched) -> None:
    watched.path.write_text("port: x")
    watched.watcher.reload_now()
    assert watched.watcher.error is not None
    watched.path.unlink()
    watched.watcher.reload_now()
    assert "does not exist" in watched.watcher.error.message
    assert watched.port == 1


@pytest.mark.parametrize(
    "failure",
    [ValueError("sk-very-secret-key"), ConfigError("is wrong", file="f", line=3, key="k")],
)
def test_a_state_that_cannot_be_put_into_force_is_not(
    watched: Watched, failure: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    watched.failure = failure
    watched.write("port: 2")
    watched.settle()
    assert watched.port == 1
    assert watched.watcher.error is not None
    assert "sk-very-secret-key" not in caplog.text + str(watched.watcher.error)
    watched.failure = None
    watched.watcher.reload_now()
    assert watched.port == 2
    assert watched.changes == [2]


def test_settings_that_wait_for_a_restart_are_named(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    watched.write("port: 2\ndata-dir: /elsewhere\ndebug: true")
    watched.settle()
    assert "takes effect at the next start: port, data-dir" in caplog.text
    assert needing_restart(Config(), Config(debug=True)) == ()


def test_it_runs_until_it_is_stopped(watched: Watched) -> None:
    seen = threading.Event()
    watcher = ConfigWatcher(watched.path, ENVIRON, lambda config: seen.set())
    thread = threading.Thread(target=watcher.run, args=(0.005,))
    thread.start()
    watched.write("port: 2")
    assert seen.wait(10)
    watcher.stop()
    thread.join(10)
    assert not thread.is_alive()
