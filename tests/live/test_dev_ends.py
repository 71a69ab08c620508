"""However a dev cluster ends, nothing of it is left, and nothing else is touched."""

import os
import pty
import signal
import subprocess
from pathlib import Path

from mcctl.dev.processes import Known
from tests.live.cluster import MCCTL, Cluster, Home, until

SMALL = ("--nodes", "2", "--clouds", "2", "--no-wan")


async def test_down_leaves_nothing(home: Home) -> None:
    home.json("dev", "up", *SMALL)
    processes = home.owners("dev")
    assert len([known for known in processes if known.alive]) == 4
    assert home.contexts.names() == ["dev"]
    assert home.contexts.current() == "dev"
    home.json("dev", "down")
    assert not any(known.alive for known in processes)
    assert home.dev_folders() == []
    assert home.contexts.names() == []
    assert home.run("dev", "status").returncode == 5


async def test_nothing_is_left_when_the_supervisor_is_killed(home: Home) -> None:
    described = home.json("dev", "up", *SMALL)
    home.json("dev", "pause", described["nodes"][0]["name"])
    processes = home.owners("dev")
    processes[0].kill()
    await home.nothing_left("dev", processes)


async def test_nothing_is_left_when_the_supervisor_is_told_to_end(home: Home) -> None:
    home.json("dev", "up", *SMALL)
    processes = home.owners("dev")
    processes[0].kill(signal.SIGTERM)
    await home.nothing_left("dev", processes)


async def test_a_killed_guardian_is_replaced_and_does_its_work(home: Home) -> None:
    home.json("dev", "up", *SMALL)
    first = home.owners("dev")[1]
    first.kill()
    await until(lambda: home.owners("dev")[1] != first and home.owners("dev")[1].alive)
    processes = home.owners("dev")
    processes[0].kill()
    await home.nothing_left("dev", processes)


async def test_the_next_command_cleans_up_after_both_were_killed(home: Home) -> None:
    home.json("dev", "up", *SMALL)
    processes = home.owners("dev")
    for known in processes[:2]:
        os.kill(known.pid, signal.SIGSTOP)  # So that neither can do anything about the other.
    for known in processes[:2]:
        known.kill()
    await until(lambda: not any(known.alive for known in processes))
    assert home.dev_folders() == ["dev"]
    done = home.run("dev", "status")
    assert "cleaned up after the dev cluster dev" in done.stderr
    await home.nothing_left("dev", processes)


async def test_an_interrupted_start_leaves_nothing(home: Home) -> None:
    starting = subprocess.Popen(  # noqa: ASYNC220  Its start may block.
        [*MCCTL, "dev", "up"], env=home.env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    run_file = home.folder / "dev" / "dev" / "run.json"
    await until(lambda: run_file.exists() and home.run_file("dev")["nodes"] != {})
    processes = [known for known in home.owners("dev") if known.pid]
    starting.send_signal(signal.SIGINT)
    await until(lambda: starting.poll() is not None)
    assert starting.returncode == 130
    assert starting.stderr
    starting.stderr.close()
    assert not any(known.alive for known in processes)  # It is gone when the prompt is back.
    assert home.dev_folders() == []
    assert home.contexts.names() == []


async def test_a_cluster_outlives_the_terminal_that_started_it(home: Home) -> None:
    lead, follow = pty.openpty()
    starting = subprocess.Popen(  # noqa: ASYNC220  Its start may block.
        [*MCCTL, "dev", "up", *SMALL],
        env=home.env,
        stdin=follow,
        stdout=follow,
        stderr=follow,
        start_new_session=True,
        preexec_fn=lambda: _take_terminal(follow),
    )
    os.close(follow)
    seen = b""
    while b"next:" not in seen:
        seen += os.read(lead, 4096)
    assert b"is ready (2 of 2)" in seen
    starting.wait(20)
    os.close(lead)  # The terminal is gone: its processes get SIGHUP.
    states = [node["state"] for node in home.json("dev", "status")["nodes"]]
    assert states == ["running", "running"]


def _take_terminal(descriptor: int) -> None:
    import fcntl
    import termios

    fcntl.ioctl(descriptor, termios.TIOCSCTTY, 0)


async def test_two_clusters_live_side_by_side_and_the_current_context_stays(home: Home) -> None:
    first = home.json("dev", "up", "--nodes", "1", "--name", "one", "--no-wan")
    assert home.contexts.current() == "dev-one"
    second = home.json("dev", "up", *SMALL, "--name", "two")
    assert home.contexts.current() == "dev-one"
    addresses = [node["address"] for node in (*first["nodes"], *second["nodes"])]
    assert len(set(addresses)) == 3
    processes = home.owners("two")
    home.json("dev", "down", "--name", "two")
    await home.nothing_left("two", processes)
    assert home.contexts.names() == ["dev-one"]
    assert Cluster(home, "one", first).node("aws-a")["state"] == "running"


def test_a_single_node_works_and_says_what_that_means(home: Home) -> None:
    done = home.run("dev", "up", "--nodes", "1")
    assert done.returncode == 0, done.stderr
    assert "R = W = 1" in done.stderr
    assert [node["name"] for node in home.json("nodes")] == ["aws-a"]
    assert home.json("status")["safe"] is True


def test_a_second_cluster_of_the_same_name_is_refused(home: Home) -> None:
    home.json("dev", "up", "--nodes", "1", "--no-wan")
    done = home.run("dev", "up", "--nodes", "1")
    assert done.returncode == 2
    assert "`mcctl dev down`" in done.stderr
    assert home.json("dev", "status")["nodes"][0]["state"] == "running"


def test_a_folder_that_is_no_dev_clusters_is_never_touched(home: Home) -> None:
    precious = home.folder / "dev" / "dev" / "thesis.txt"
    precious.parent.mkdir(parents=True)
    precious.write_text("all of it")
    assert home.run("dev", "up", "--nodes", "1").returncode == 2
    assert home.run("dev", "down").returncode == 5
    assert home.run("dev", "status").returncode == 5
    assert precious.read_text() == "all of it"


def test_a_context_of_the_same_name_is_never_replaced(home: Home) -> None:
    home.json("dev", "up", "--nodes", "1", "--no-wan")
    other = Home(home.folder)
    env = {**home.env, "MC_DEV_DIR": str(home.folder / "elsewhere")}
    done = subprocess.run(
        [*MCCTL, "dev", "up", "--nodes", "1"], env=env, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert "context dev of another cluster" in done.stderr
    assert other.contexts.names() == ["dev"]


def test_a_path_that_is_too_long_for_a_socket_works(home: Home) -> None:
    deep = home.folder / ("d" * 60) / ("e" * 60)
    env = {**home.env, "MC_DEV_DIR": str(deep)}

    def mcctl(*words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run([*MCCTL, *words], env=env, capture_output=True, text=True, timeout=60)

    up = mcctl("dev", "up", "--nodes", "1", "--no-wan")
    assert up.returncode == 0, up.stderr
    assert mcctl("dev", "status").returncode == 0
    assert mcctl("dev", "down").returncode == 0
    assert not Path(deep / "dev").exists()


def test_a_reused_pid_is_never_taken_for_the_process_before() -> None:
    with subprocess.Popen(["sleep", "60"]) as sleeper:
        real = Known.of(sleeper.pid)
        Known(sleeper.pid, "1").kill()
        assert not Known(sleeper.pid, "1").alive
        assert real.alive
        real.kill()
        assert sleeper.wait(10) == -signal.SIGKILL
        assert not real.alive
