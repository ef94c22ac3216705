"""`tutti top` in a terminal of its own: it draws, follows the terminal's size, scrolls, and gives the terminal
back as it was by q and by Ctrl-C, over a restart of the coordinator too."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import unittest

from cluster import BIN, ClusterTest, sections_spec, wait_for


class Terminal:
    """A program on a terminal of so many columns and lines; what it wrote."""

    def __init__(self, cluster, *words, columns=100, lines=30):
        self.master, self.slave = pty.openpty()
        self.resize(columns, lines, tell=False)
        self.before = termios.tcgetattr(self.slave)
        env = {k: v for k, v in cluster.env.items() if k != "NO_COLOR"}
        self.process = subprocess.Popen(
            [str(BIN / "tutti"), *words], stdin=self.slave, stdout=self.slave, stderr=self.slave,
            env={**env, "TERM": "xterm-256color", "LANG": "C.UTF-8"}, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        self.text = ""

    def resize(self, columns, lines, tell=True):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        if tell:
            self.process.send_signal(signal.SIGWINCH)

    def read(self):
        while select.select([self.master], [], [], 0.02)[0]:
            self.text += os.read(self.master, 65536).decode(errors="replace")
        return self.text

    def frame(self):
        """The newest whole picture, a line each, without its colours."""
        frames = self.read().split("\x1b[H")
        whole = [frame for frame in frames[1:] if "\x1b[J" in frame]
        if not whole:
            return []
        text = whole[-1].split("\x1b[J")[0].replace("\x1b[K", "")
        for code in ("0", "1", "2", "31", "32", "33", "36"):
            text = text.replace(f"\x1b[{code}m", "")
        return text.replace("\r", "").split("\n")

    def press(self, keys):
        os.write(self.master, keys.encode())

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)
        os.close(self.slave)


class Top(ClusterTest):
    @classmethod
    def prepare(cls):
        cls.jobs = []
        for number in range(12):
            spec = sections_spec(f"held-{number}")
            cls.jobs.append(cls.cluster.submit(spec, "--hold")["id"])

    def open(self, *words, **size):
        terminal = Terminal(self.cluster, "top", *words, **size)
        self.addCleanup(terminal.close)
        return terminal

    def assert_given_back(self, terminal, code):
        self.assertEqual(terminal.process.wait(timeout=10), code)
        text = terminal.read()
        self.assertEqual(text.count("\x1b[?1049h"), 1)
        self.assertTrue(text.endswith("\x1b[?25h\x1b[?1049l"), repr(text[-80:]))
        self.assertEqual(termios.tcgetattr(terminal.slave), terminal.before)

    def test_q_gives_the_terminal_back(self):
        terminal = self.open()
        wait_for("a picture", lambda: any("held-0" in line for line in terminal.frame()))
        self.assertTrue(any("MACHINE" in line for line in terminal.frame()))
        self.assertFalse(termios.tcgetattr(terminal.slave)[3] & termios.ECHO)
        terminal.press("q")
        self.assert_given_back(terminal, 0)

    def test_ctrl_c_gives_the_terminal_back(self):
        terminal = self.open()
        wait_for("a picture", terminal.frame)
        terminal.press("\x03")
        self.assert_given_back(terminal, 130)

    def test_it_follows_the_size_and_scrolls(self):
        terminal = self.open("--every", "60s", columns=100, lines=40)
        wait_for("a picture", lambda: any("held-11" in line for line in terminal.frame()))
        terminal.resize(60, 14)
        wait_for("a smaller picture", lambda: len(terminal.frame()) <= 14)
        self.assertTrue(all(len(line) <= 60 for line in terminal.frame()), terminal.frame())
        self.assertTrue(any("more below" in line for line in terminal.frame()))
        first = [line for line in terminal.frame() if "held-" in line][0]
        terminal.press("jj\x1b[B")
        wait_for("it to scroll", lambda: first not in terminal.frame())
        terminal.press("G")
        wait_for("the end", lambda: not any("more below" in line for line in terminal.frame()))
        terminal.press("g")
        wait_for("the beginning", lambda: first in terminal.frame())
        terminal.press("q")
        self.assert_given_back(terminal, 0)

    def test_it_goes_on_after_the_coordinator_was_killed(self):
        terminal = self.open("--every", "200ms")
        wait_for("a picture", terminal.frame)
        os.kill(self.cluster.endpoint["coordinator_pid"], signal.SIGSTOP)
        wait_for("it to say so", lambda: any("trying again" in line for line in terminal.frame()))
        os.kill(self.cluster.endpoint["coordinator_pid"], signal.SIGKILL)
        wait_for("the coordinator to return", lambda: self.cluster.run("ps").returncode == 0, 30)
        wait_for("it to be well", lambda: not any("trying again" in line for line in terminal.frame()))
        self.assertTrue(any("held-0" in line for line in terminal.frame()))
        terminal.press("q")
        self.assert_given_back(terminal, 0)

    def test_elsewhere_it_is_text(self):
        once = self.cluster.run("top", check=True).stdout
        self.assertIn("held-11", once)
        self.assertNotIn("\x1b", once)
        self.assertEqual(len(self.cluster.json("top")["jobs"]), 12)


if __name__ == "__main__":
    unittest.main(verbosity=2)
