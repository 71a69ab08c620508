"""The folder of a dev cluster goes when it should, and nothing else goes with it."""

import os
from pathlib import Path

import pytest

from mcctl.dev.folder import SOCKET_PATH_BYTES_MAX, Folder, folder_of, root
from mcctl.dev.processes import Known
from mcctl.dev.sweep import sweep, sweep_dead
from multicloud.errors import McError

NOBODY = {"pid": 2**22 + 1, "started": "1"}


def run(supervisor: dict[str, object], context: str | None = None) -> dict[str, object]:
    return {"supervisor": supervisor, "guardian": None, "nodes": {}, "context": context,
            "config_home": "/nowhere"}  # fmt: skip


def test_a_folder_goes_only_for_the_cluster_that_made_it(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "dev", "dev")
    folder.create("first", run(NOBODY))
    folder.remove("second")
    sweep(folder, "second")
    assert folder.cluster_id == "first"
    folder.remove("first")
    assert list(tmp_path.iterdir()) == []
    folder.remove("first")  # Somebody else may have been quicker.


def test_a_second_cluster_of_the_same_name_does_not_get_the_folder(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "dev", "dev")
    folder.create("first", run(NOBODY))
    with pytest.raises(McError) as caught:
        folder.create("second", run(NOBODY))
    assert caught.value.reason == "ALREADY_EXISTS"
    assert folder.cluster_id == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["dev"]


def test_only_what_nobody_runs_is_swept(tmp_path: Path) -> None:
    env = {"MC_DEV_DIR": str(tmp_path)}
    living, dead = folder_of("living", env), folder_of("dead", env)
    living.create("1", run(Known.of(os.getpid()).fields()))
    dead.create("2", run(NOBODY))
    (tmp_path / "strange").mkdir()
    (tmp_path / "strange" / "file").write_text("precious")
    assert sweep_dead(env) == ["dev-dead"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["living", "strange"]
    assert (tmp_path / "strange" / "file").read_text() == "precious"


def test_the_folder_of_all_clusters_follows_the_usual_variables() -> None:
    assert root({"MC_DEV_DIR": "/x"}) == Path("/x")
    assert root({"XDG_STATE_HOME": "/s"}) == Path("/s/multicloud/dev")
    assert root({}) == Path.home() / ".local/state/multicloud/dev"


def test_the_socket_moves_when_its_path_would_be_too_long(tmp_path: Path) -> None:
    short = Folder(Path("/tmp/dev"), "dev")
    assert short.socket.parent == short.path
    long = Folder(tmp_path / ("x" * 120), "x")
    assert len(os.fsencode(long.socket)) <= SOCKET_PATH_BYTES_MAX
    other = Folder(tmp_path / ("y" * 120), "y")
    assert long.socket != other.socket


@pytest.mark.parametrize("name", ["", "A", "../x", "a/b", "-a", "x" * 32])
def test_a_name_that_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(McError) as caught:
        folder_of(name, {"MC_DEV_DIR": "/x"})
    assert caught.value.row.exit == 2
