"""The table of commands: where each lives, and its line of help. A command is imported to be run."""

from collections.abc import Mapping
from typing import NamedTuple


class Row(NamedTuple):
    section: str
    module: str
    attribute: str  # A function (one command) or a `typer.Typer` (a group of them).
    help: str


TABLE: Mapping[str, Row] = {
    "dev": Row("Try it", "mcctl.dev.commands", "app", "A whole cluster on this machine: start it, break it, heal it."),
    "status": Row("Cluster", "mcctl.status", "status", "One screen: is all data safe, and if not, what is not."),
    "check": Row("Cluster", "mcctl.check", "check", "Certificates, clocks, links and clouds, each with its remedy."),
    "doctor": Row("Cluster", "mcctl.doctor", "doctor", "Find and mend what is wrong with volumes and chunks."),
    "cluster": Row("Cluster", "mcctl.cluster", "app", "Create a cluster; issue, renew and revoke identities."),
    "context": Row("Cluster", "mcctl.context", "app", "Which cluster the commands talk to."),
    "nodes": Row("Nodes", "mcctl.nodes", "nodes", "Every node: where it stands, its state, the time to it from here."),
    "node": Row("Nodes", "mcctl.nodes", "node", "One node in full; drain it, have it back, remove it for ever."),
    "rtt": Row("Nodes", "mcctl.rtt", "rtt", "The matrix of round-trip times between nodes or regions."),
    "place": Row("Nodes", "mcctl.place", "place", "Which nodes would get the copies of a chunk, and why."),
    "pipeline": Row("Data", "mcctl.pipeline", "app", "Write, check and try what happens to records; no cluster needed."),
    "plan": Row("Data", "mcctl.plan", "plan", "What a job would read, write, cost and survive; nothing runs."),
    "submit": Row("Data", "mcctl.submit", "submit", "Make a dataset version of files, through a pipeline."),
    "jobs": Row("Data", "mcctl.jobs", "jobs", "Every job, its progress, and why it waits."),
    "job": Row("Data", "mcctl.jobs", "job", "One job in full."),
    "watch": Row("Data", "mcctl.jobs_watch", "watch", "A job's stages as they go on, until it has ended."),
    "wait": Row("Data", "mcctl.jobs_watch", "wait", "Wait until a job has ended, or is acked, or safe."),
    "pause": Row("Data", "mcctl.jobs_change", "pause", "Start no new task of a job."),
    "resume": Row("Data", "mcctl.jobs_change", "resume", "Go on with a job that was paused."),
    "cancel": Row("Data", "mcctl.jobs_change", "cancel", "End a job for good."),
    "retry": Row("Data", "mcctl.jobs_change", "retry", "Run the failed tasks of a job again."),
    "receipt": Row("Data", "mcctl.receipt", "receipt", "The proof of a job: sums, copies, bytes over borders, dollars."),
    "quarantine": Row("Data", "mcctl.quarantine", "app", "The records that a job put aside, and why."),
    "datasets": Row("Data", "mcctl.datasets", "datasets", "Every version of every dataset."),
    "ls": Row("Data", "mcctl.datasets", "ls", "The files of a version."),
    "get": Row("Data", "mcctl.get", "get", "Bring the files of a version here, bit for bit; go on where it stopped."),
    "export": Row("Data", "mcctl.export", "export", "Write the files of a version into a bucket, as they were."),
    "cat": Row("Data", "mcctl.get", "cat", "Write one file of a version to stdout."),
    "verify": Row("Data", "mcctl.verify", "verify", "Have every copy of a version, or of a chunk, read and proven now."),
    "rm": Row("Data", "mcctl.datasets", "rm", "Remove a version; `undelete` brings it back for 24 h."),
    "undelete": Row("Data", "mcctl.datasets", "undelete", "Take the removal of a version back."),
    "dashboard": Row("Look", "mcctl.dashboard", "dashboard", "Pages for a browser here: is data safe, does it move, what to type."),
    "events": Row("Look", "mcctl.events", "app", "What has happened, as each node saw it, and why."),
    "trace": Row("Look", "mcctl.trace", "trace", "A chunk's way over all nodes, hop by hop, with times."),
    "config": Row("Configuration", "mcctl.config", "app", "Check, explain and reload the configuration of nodes."),
    "audit": Row("Look", "mcctl.audit", "app", "Read and verify the log of who changed what."),
}  # fmt: skip
