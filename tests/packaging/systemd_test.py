"""The systemd units: systemd accepts them, they are confined, and the install script puts them and
the programs where they say. Exit 77 where there is no systemd-analyze."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("TUTTI_BIN", ROOT / "build/release/bin"))
UNITS = ROOT / "packaging/systemd"
NAMES = ["tutti.service", "tutti-worker.service", "tutti-backup.service", "tutti-backup.timer"]
EXPOSURE_MAX = 30  # tenths of what `systemd-analyze security` calls exposure, from 0 to 100


def analyze(*words):
    return subprocess.run(["systemd-analyze", *map(str, words)], capture_output=True, text=True, timeout=60)


class Units(unittest.TestCase):
    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="tutti-test-"))
        self.addCleanup(shutil.rmtree, self.dir)
        for name in NAMES:
            text = (UNITS / name).read_text()
            (self.dir / name).write_text(text.replace("/usr/local/bin/", f"{BIN}/"))

    def test_systemd_accepts_them_without_a_word(self):
        result = analyze("verify", "--man=no", *(self.dir / name for name in NAMES))
        self.assertEqual((result.returncode, result.stdout, result.stderr), (0, "", ""))

    def test_a_wrong_key_or_program_would_be_noticed(self):
        unit = self.dir / "tutti.service"
        good = unit.read_text()
        for bad in (good.replace("NoNewPrivileges", "NoNewPrivilege"), good.replace(f"{BIN}/tutti ", "/nowhere/tutti ")):
            unit.write_text(bad)
            result = analyze("verify", "--man=no", unit)
            self.assertTrue(result.returncode != 0 or result.stderr, bad)

    def test_they_are_confined(self):
        for name in NAMES[:3]:
            result = analyze("security", "--offline=yes", "--no-pager", f"--threshold={EXPOSURE_MAX}", self.dir / name)
            self.assertEqual(result.returncode, 0, result.stdout[-300:] + result.stderr)

    def test_the_programs_they_start_know_the_options_they_give(self):
        for name in NAMES[:3]:
            for program, words in re.findall(r"([^\s=]*/bin/tutti\S*) ([^\n]*)", (self.dir / name).read_text()):
                asked = [["--help"], ["up", "--help"]] if program.endswith("/tutti") else [["--help"]]
                help_text = "".join(subprocess.run([program, *each], capture_output=True, text=True, timeout=60).stdout
                                    for each in asked)
                for option in re.findall(r"--[a-z-]+", words):
                    self.assertIn(option, help_text, f"{name}: {program} {words}")

    def test_the_install_script_puts_everything_in_place_and_takes_it_away(self):
        def script(*words):
            return subprocess.run([UNITS / "install.sh", *words], capture_output=True, text=True, timeout=120,
                                  env={**os.environ, "DESTDIR": str(self.dir), "TUTTI_BIN": str(BIN)})

        def files():
            return {str(path.relative_to(self.dir)) for path in self.dir.rglob("*") if path.is_file()}

        before = files()
        result = script()
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("systemctl enable --now tutti", result.stdout)
        put = files() - before
        for name in NAMES:
            self.assertIn(f"etc/systemd/system/{name}", put)
        for program in ("tutti", "tutti-coordinator", "tutti-worker", "tutti-engine"):
            self.assertIn(f"usr/local/bin/{program}", put)
        self.assertIn(".TH TUTTI 1", (self.dir / "usr/local/share/man/man1/tutti.1").read_text())
        self.assertEqual(script().returncode, 0)  # again: an upgrade
        self.assertEqual(files() - before, put)
        self.assertEqual(script("--remove").returncode, 0)
        self.assertEqual(files(), before)
        self.assertEqual(script("--nonsense").returncode, 2)


if __name__ == "__main__":
    if shutil.which("systemd-analyze") is None:
        print("skipped: no systemd-analyze here (package systemd)")
        sys.exit(77)
    unittest.main(verbosity=2)
