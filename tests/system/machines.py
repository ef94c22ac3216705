"""Machines for a test: network, mount and host-name namespaces on a bridge, each with an address and a
folder of its own that the others cannot see. Nothing on the host is named or changed: namespaces and
links live as long as a process of ours holds them, and it dies with the test.

    with Machines(["head", "one", "two"]) as net:
        net["one"].run(["ip", "address"])
"""

import ctypes
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile

from cluster import BIN, processes, wait_for

NETWORK = "10.77.0"
PR_SET_PDEATHSIG = 1


def die_with_us():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def enter_user_namespace():
    """Namespaces need root, or a user namespace in which we are: the test starts again in one."""
    if os.geteuid() == 0:
        return
    if os.environ.get("TUTTI_IN_USER_NAMESPACE"):
        return
    os.environ["TUTTI_IN_USER_NAMESPACE"] = "1"
    os.execvp("unshare", ["unshare", "--user", "--map-root-user", sys.executable, *sys.argv])


def why_not():
    """Why namespaces cannot be made here; None when they can."""
    made = subprocess.run(["unshare", "--net", "--mount", "--uts", "sh", "-c",
                           "ip link add test-a type veth peer name test-b && ip link add test-c type bridge"],
                          capture_output=True, text=True)
    return None if made.returncode == 0 else f"no network namespaces here: {made.stderr.strip()}"


class Holder:
    """A process that does nothing but keep its namespaces alive."""

    def __init__(self, *kinds):
        self.process = subprocess.Popen(["unshare", *kinds, "sh", "-c", "echo ready; exec sleep infinity"],
                                        stdout=subprocess.PIPE, text=True, preexec_fn=die_with_us)
        if self.process.stdout.readline() != "ready\n":
            raise AssertionError("unshare: no namespaces")

    @property
    def pid(self):
        return self.process.pid

    def words(self, words):
        return ["nsenter", "--target", str(self.pid), *self.flags(), "--", *map(str, words)]

    def flags(self):
        return ["--net"]

    def run(self, words, check=True, **options):
        done = subprocess.run(self.words(words), capture_output=True, text=True, **options)
        if check and done.returncode != 0:
            raise AssertionError(f"{' '.join(map(str, words))}: {done.stdout}{done.stderr}")
        return done

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


class Machine(Holder):
    def __init__(self, name, number, root):
        super().__init__("--net", "--mount", "--uts")
        self.name, self.address = name, f"{NETWORK}.{number}"
        self.dir = root / name
        self.dir.mkdir()
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(("TUTTI_U", "TUTTI_D"))}
        self.env.update(NO_COLOR="1", HOME=str(self.dir), TMPDIR=str(self.dir / "tmp"))
        (self.dir / "tmp").mkdir()
        self.started = []

    def flags(self):
        return ["--net", "--mount", "--uts"]

    def start(self, log, *words):
        """A program of ours in the background, its output in `log`; ends with the test."""
        with open(self.dir / log, "ab") as out:
            process = subprocess.Popen(self.words([BIN / words[0], *words[1:]]), env=self.env, stdout=out,
                                       stderr=out, stdin=subprocess.DEVNULL, preexec_fn=die_with_us)
        self.started.append(process)
        return process

    def tutti(self, *words, check=False, timeout=120, env=None, stdin=None):
        done = self.run([BIN / "tutti", *words], check=False, timeout=timeout,
                        env={**self.env, **(env or {})}, input=stdin)
        if check and done.returncode != 0:
            raise AssertionError(f"tutti {' '.join(map(str, words))}: {done.returncode}\n"
                                 f"{done.stdout}{done.stderr}")
        return done

    def link(self, state):
        self.run(["ip", "link", "set", "eth0", state])

    def stop(self):
        for process in self.started:
            if process.poll() is None:
                process.terminate()
        for process in self.started:
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        super().stop()


class Machines:
    def __init__(self, names):
        self.names = names

    def __enter__(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="tutti-machines-"))
        self.machines = {}
        self.switch = Holder("--net")
        try:
            self.switch.run(["ip", "link", "add", "br0", "type", "bridge"])
            self.switch.run(["ip", "link", "set", "br0", "up"])
            for number, name in enumerate(self.names, 1):
                self.add(name, number)
            for machine in self.machines.values():
                self.hide_others(machine)
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def add(self, name, number):
        machine = self.machines[name] = Machine(name, number, self.dir)
        self.switch.run(["ip", "link", "add", f"port{number}", "type", "veth", "peer", "name", "eth0",
                         "netns", machine.pid])
        self.switch.run(["ip", "link", "set", f"port{number}", "master", "br0", "up"])
        machine.run(["hostname", name])
        machine.run(["ip", "address", "add", f"{machine.address}/24", "dev", "eth0"])
        for link in ("lo", "eth0"):
            machine.run(["ip", "link", "set", link, "up"])

    def hide_others(self, machine):
        for other in self.machines.values():
            if other is not machine:
                machine.run(["mount", "-t", "tmpfs", "none", other.dir])

    def __getitem__(self, name):
        return self.machines[name]

    def print_logs(self):
        for log in sorted(self.dir.glob("*/*.log")):
            print(f"---- {log}")
            print("".join(log.read_text(errors="replace").splitlines(True)[-40:]))

    def ours(self):
        mark = str(self.dir)
        return {pid: line for pid, line in processes().items() if mark in line}

    def __exit__(self, kind, value, trace):
        if kind is not None:
            self.print_logs()
        # The head last: the others still say goodbye to it.
        for machine in reversed(self.machines.values()):
            machine.stop()
        self.switch.stop()
        try:
            if kind is None:
                wait_for("processes to go", lambda: not self.ours(), 10)
                # A killed worker's half-written copies go with the job's next launch there, or in a day.
                left = [str(p) for p in self.dir.rglob("*.tmp-*") if not p.match("*/worker/jobs/*/checkpoints/*")]
                left += [str(p) for p in self.dir.glob("*/*/run/*")]
                assert not left, f"temporary files left: {left}"
        finally:
            for pid in self.ours():
                os.kill(pid, signal.SIGKILL)
            shutil.rmtree(self.dir, ignore_errors=True)
