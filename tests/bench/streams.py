"""Event streams: 200 clients follow everything while 20 jobs train, five more read nothing at all.

The delay of an event is from the time it carries (the coordinator heard of it then) to its arrival at a client,
on one machine with one clock, with training, coordinator and clients sharing the cores.
"""

import contextlib
import os
import pathlib
import re
import selectors
import socket
import statistics
import time
import urllib.parse
from datetime import datetime

from cluster import Cluster, sections_spec, wait_for

CLIENTS, SLOW, JOBS = 200, 5, 20
SECONDS = 30.0
AT = re.compile(rb'"at":"([^"]+)"')
TICKS = os.sysconf("SC_CLK_TCK")


def job_spec(number):
    spec = sections_spec(f"streams-{number}", max_steps=100_000, save_steps=100_000, micro_batch_size=4,
                         global_batch_size=16)
    spec["data"] = {"train": spec["data"]["train"], "max_length": 64}
    spec["training"].pop("eval_steps")
    spec["resources"] = {"ranks": 1}
    return spec


def connect(cluster, buffer=None):
    """A connection that has asked for all events."""
    url = urllib.parse.urlparse(cluster.endpoint["url"])
    token = pathlib.Path(cluster.endpoint["token_file"]).read_text(encoding="utf-8").strip()
    connection = socket.socket()
    if buffer:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    connection.settimeout(10)
    connection.connect((url.hostname, url.port))
    connection.sendall(f"GET /api/v1/events HTTP/1.1\r\nHost: {url.netloc}\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
    return connection


class Clients:
    """Reads all of them; delays in milliseconds by client."""

    def __init__(self, connections):
        self.selector = selectors.DefaultSelector()
        self.delays = [[] for _ in connections]
        self.times = {}  # text -> seconds since 1970: each event comes to every client
        for index, connection in enumerate(connections):
            connection.setblocking(False)
            self.selector.register(connection, selectors.EVENT_READ, index)

    def read(self, seconds, keep):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for key, _ in self.selector.select(0.1):
                data = key.fileobj.recv(1 << 18)
                assert data, "a stream ended"
                if keep:
                    self.take(data, self.delays[key.data])

    def take(self, data, delays):
        now = time.time()
        for text in AT.findall(data):
            at = self.times.get(text)
            if at is None:
                at = self.times[text] = datetime.fromisoformat(text.decode().replace("Z", "+00:00")).timestamp()
            delays.append((now - at) * 1e3)


class Usage:
    """Processor seconds and resident memory of a process."""

    def __init__(self, pid):
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()
        self.seconds = (int(fields[11]) + int(fields[12])) / TICKS
        self.mib = int(fields[21]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def measure():
    """(p99 in ms, a line with the rest)."""
    with Cluster(slots=JOBS) as cluster, contextlib.ExitStack() as stack:
        jobs = [cluster.submit(job_spec(number))["id"] for number in range(JOBS)]

        def running():
            return sum(job["state"] == "running" for job in cluster.http("GET", "/api/v1/jobs?limit=100")["data"])

        wait_for("all jobs to run", lambda: running() == JOBS, 180)
        pid = cluster.endpoint["coordinator_pid"]
        idle = Usage(pid)
        connections = [stack.enter_context(connect(cluster)) for _ in range(CLIENTS)]
        for _ in range(SLOW):
            stack.enter_context(connect(cluster, buffer=4096))
        clients = Clients(connections)
        clients.read(3, keep=False)
        before, began = Usage(pid), time.monotonic()
        clients.read(SECONDS, keep=True)
        after, took = Usage(pid), time.monotonic() - began
        assert running() == JOBS, "a job ended meanwhile"
        for job in jobs:
            cluster.run("cancel", job, check=True)
        wait_for("them to end", lambda: running() == 0, 60)
    assert all(clients.delays), "a client had no event"
    delays = sorted(delay for each in clients.delays for delay in each)
    p99 = delays[len(delays) * 99 // 100]
    worst = max(statistics.quantiles(each, n=100)[98] if len(each) > 1 else each[0] for each in clients.delays)
    return p99, (f"p50 {statistics.median(delays):.0f} ms, p99 of the worst client {worst:.0f} ms, largest {delays[-1]:.0f} ms; "
                 f"{len(delays) / took:,.0f} events/s to {CLIENTS} clients; coordinator "
                 f"{(after.seconds - before.seconds) / took * 100:.0f} % of a core, {after.mib:.0f} MiB "
                 f"({after.mib - idle.mib:+.0f} for the streams)")
