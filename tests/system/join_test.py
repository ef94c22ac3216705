"""Workers of other machines: a coordinator and two workers with addresses of their own and no shared
directory. They join by strings, train one gang across both, and go on elsewhere from checkpoints that
were sent to the coordinator, with the bits of one machine."""

import json
import os
import signal
import sys
import time
import unittest

from cluster import EXAMPLES, ClusterTest, gang_of, processes, sections_spec, wait_for
from machines import Machines, enter_user_namespace, why_not

LEASE_SECONDS = 5


class Joined:
    """A coordinator on `head`, and workers with two slots each that joined by strings."""

    def __init__(self):
        self.net = Machines(["head", "one", "two"])

    def __enter__(self):
        self.net.__enter__()
        try:
            self.start()
        except BaseException:
            self.net.__exit__(RuntimeError, None, None)
            raise
        return self

    def __exit__(self, *error):
        self.net.__exit__(*error)

    @property
    def head(self):
        return self.net["head"]

    def start(self):
        data = self.head.dir / "data"
        self.head.start("coordinator.log", "tutti-coordinator", "--data-dir", data,
                        "--http", f"{self.head.address}:7717", "--zmq", f"{self.head.address}:7718")
        serving = data / "coordinator/serving.json"
        wait_for("the coordinator to serve", serving.exists, 60)
        told = json.loads(serving.read_text())
        self.head.env.update(TUTTI_URL=told["url"], TUTTI_PIN=told["pin"],
                             TUTTI_TOKEN=(data / "token").read_text().strip())
        self.workers = {name: self.join(name, "--data-root", EXAMPLES / "data") for name in ("one", "two")}
        for name in self.workers:
            self.wait_up(name)

    def token(self, *words):
        return self.head.tutti("worker", "token", *words, check=True).stdout.strip()

    def join(self, name, *words):
        return self.net[name].start("worker.log", "tutti-worker", "--join", self.token(), "--slots", "2",
                                    "--dir", self.net[name].dir / "worker", *words)

    def worker(self, name):
        for worker in self.json("worker", "list")["data"]:
            if worker["name"] == name:
                return worker
        return None

    def wait_up(self, name):
        def up():
            worker = self.worker(name)
            return worker and worker["state"] == "up" and worker
        return wait_for(f"{name} to be up", up, 60)

    # ---- jobs ----------------------------------------------------------------------------------

    def json(self, *words):
        return json.loads(self.head.tutti(*words, "--json", check=True).stdout)

    def submit(self, spec, ranks):
        spec["resources"] = {"ranks": ranks}
        path = self.head.dir / f"{spec['name']}.json"
        path.write_text(json.dumps(spec))
        return self.json("submit", path)["id"]

    def show(self, job):
        return self.json("show", job)

    def digest(self, job, seconds=240):
        code = self.head.tutti("wait", job, "--timeout", f"{seconds}s", timeout=seconds + 30).returncode
        shown = self.show(job)
        assert code == 0, shown
        return shown["result"]["digest"]

    def wait_checkpoint(self, job, attempt=1):
        """The job, once an attempt runs that has a checkpoint which counts."""
        def counted():
            shown = self.show(job)
            assert shown["state"] not in ("succeeded", "failed"), shown
            return (shown["state"] == "running" and shown["attempt"] == attempt and
                    any(each["attempt"] == attempt for each in shown["checkpoints"]) and shown)
        return wait_for(f"a checkpoint of attempt {attempt}", counted, 120)

    def rank_pids(self, job):
        gang = gang_of(self.show(job), self.json("worker", "list")["data"])
        return [pid for pids in gang.values() for pid in pids]


def long_spec(name, **training):
    spec = sections_spec(name, **{"max_steps": 240, "save_steps": 20, "eval_steps": 1000, "micro_batch_size": 4,
                                  "global_batch_size": 16, "save_total_limit": 2, **training})
    spec["data"]["max_length"] = 32
    return spec


class Join(ClusterTest):
    @classmethod
    def start(cls):
        return Joined()

    @classmethod
    def prepare(cls):
        cls.expected = cls.cluster.digest(cls.cluster.submit(long_spec("alone"), 1))

    def tearDown(self):
        if self._outcome.result.failures or self._outcome.result.errors:
            self.cluster.net.print_logs()
        for name in self.cluster.workers:
            self.cluster.wait_up(name)

    def test_each_has_an_address_and_nothing_of_the_others(self):
        for name in ("one", "two"):
            machine = self.cluster.net[name]
            self.assertEqual(self.cluster.worker(name)["address"], machine.address)
            seen = machine.run(["ls", self.cluster.head.dir]).stdout
            self.assertEqual(seen, "")

    def test_one_gang_across_both_machines_has_the_bits_of_one(self):
        job = self.cluster.submit(long_spec("across"), 4)
        self.assertEqual(self.cluster.digest(job), self.expected)
        [attempt] = self.cluster.show(job)["attempts"]
        self.assertEqual(sorted(attempt["workers"]), ["one", "two"])

    def test_data_in_place_is_read_on_every_machine(self):
        spec = long_spec("in-place")
        for role in ("train", "eval"):
            spec["data"][role] = f"file://{spec['data'][role]}"
        job = self.cluster.submit(spec, 4)
        self.assertEqual(self.cluster.digest(job), self.expected)
        spec = long_spec("outside")
        spec["data"]["train"] = f"file://{EXAMPLES}/README.md"
        job = self.cluster.submit(spec, 1)
        self.cluster.head.tutti("wait", job, "--timeout", "60s")
        shown = self.cluster.show(job)
        self.assertEqual((shown["state"], shown["reason"]), ("failed", "data"))
        self.assertIn("may not read data there", shown["message"])

    def test_the_best_weights_come_to_every_machine(self):
        found = {}
        for name, ranks in (("best-alone", 1), ("best-across", 4)):
            spec = sections_spec(name, max_steps=40, save_steps=5, eval_steps=5, save_total_limit=2,
                                 learning_rate=3e-2, load_best_model_at_end=True,
                                 metric_for_best_model="loss", greater_is_better=False)
            job = self.cluster.submit(spec, ranks)
            digest = self.cluster.digest(job)
            shown = self.cluster.show(job)
            found[name] = (digest, shown["result"]["metrics"])
            events = self.cluster.head.tutti("events", job, check=True).stdout
            self.assertNotIn("cannot be loaded", events)
        self.assertEqual(found["best-alone"], found["best-across"])

    def test_a_killed_rank_is_made_good_from_the_machines_own_copy(self):
        job = self.cluster.submit(long_spec("rank-killed"), 4)
        shown = self.cluster.wait_checkpoint(job)
        os.kill(wait_for("ranks", lambda: self.cluster.rank_pids(job))[-1], signal.SIGKILL)
        self.assertEqual(self.cluster.digest(job), self.expected)
        after = self.cluster.show(job)["attempts"][1]
        self.assertGreaterEqual(after["from_step"], shown["checkpoints"][-1]["step"])

    def test_a_job_goes_on_on_the_other_machine_from_the_checkpoint_that_was_sent(self):
        job = self.cluster.submit(long_spec("worker-killed"), 2)
        shown = self.cluster.wait_checkpoint(job)
        [first] = shown["attempts"][0]["workers"]
        worker = self.cluster.worker(first)
        os.kill(worker["pid"], signal.SIGKILL)
        self.assertEqual(self.cluster.digest(job), self.expected)
        after = self.cluster.show(job)["attempts"][1]
        self.assertNotIn(first, after["workers"])
        self.assertGreaterEqual(after["from_step"], shown["checkpoints"][-1]["step"])
        # It comes back by what it kept, without a string.
        machine = self.cluster.net[first]
        self.cluster.workers[first] = machine.start("worker.log", "tutti-worker", "--dir", machine.dir / "worker")
        wait_for("it to register", lambda: self.cluster.worker(first)["pid"] != worker["pid"], 60)
        self.assertEqual(self.cluster.wait_up(first)["id"], worker["id"])

    def test_a_paused_job_leaves_its_newest_step_with_the_coordinator(self):
        job = self.cluster.submit(long_spec("paused", save_steps=1000), 1)
        wait_for("some steps", lambda: (self.cluster.show(job).get("progress") or {}).get("step", 0) >= 10, 60)
        self.cluster.head.tutti("pause", job, check=True)
        wait_for("it to pause", lambda: self.cluster.show(job)["state"] == "paused", 60)
        shown = self.cluster.show(job)
        [kept] = shown["checkpoints"]
        self.assertGreaterEqual(kept["step"], 10)
        folder = self.cluster.head.dir / "data/jobs" / job / "checkpoints"
        self.assertEqual(len(list(folder.iterdir())), 2)
        self.cluster.head.tutti("resume", job, check=True)
        self.assertEqual(self.cluster.digest(job), self.expected)
        self.assertEqual(self.cluster.show(job)["attempts"][1]["from_step"], kept["step"])

    def test_a_machine_that_is_cut_off_kills_its_gang_before_another_gets_it(self):
        job = self.cluster.submit(long_spec("cut", max_steps=400, save_steps=40), 2)
        shown = self.cluster.wait_checkpoint(job)
        [first] = shown["attempts"][0]["workers"]
        pids = set(self.cluster.rank_pids(job))
        self.assertEqual(len(pids), 2)
        before = self.cluster.worker(first)
        self.cluster.net[first].link("down")
        try:
            cut_at = time.monotonic()

            def gone():
                alive = pids & set(processes())
                placed = self.cluster.show(job)["attempt"] > 1
                # Asked before it was looked up: a rank that lives now lived when it was placed.
                self.assertFalse(placed and pids & set(processes()), "two live attempts")
                return not alive
            wait_for("the cut-off gang to die", gone, 30)
            self.assertGreaterEqual(time.monotonic() - cut_at, LEASE_SECONDS - 2)
            wait_for("the other attempt", lambda: self.cluster.show(job)["attempt"] == 2, 60)
        finally:
            self.cluster.net[first].link("up")
        self.cluster.wait_up(first)
        self.assertEqual(self.cluster.worker(first)["pid"], before["pid"])
        calm = self.cluster.digest(self.cluster.submit(long_spec("calm", max_steps=400, save_steps=40), 2))
        self.assertEqual(self.cluster.digest(job), calm)
        after = self.cluster.show(job)["attempts"][1]
        self.assertNotIn(first, after["workers"])
        self.assertGreater(after["from_step"], 0)

    # ---- who may come in -----------------------------------------------------------------------

    def refused(self, join, *words, name="guest"):
        machine = self.cluster.net["two"]
        done = machine.tutti("worker", "--join", join, "--name", name, "--slots", "1",
                             "--dir", machine.dir / "guest", *words, timeout=60)
        self.assertEqual(done.returncode, 2, done.stdout + done.stderr)
        self.assertIsNone(self.cluster.worker("guest"))
        return done.stderr

    def test_wrong_used_and_expired_strings_and_taken_names_are_refused_and_say_what_to_do(self):
        used = self.cluster.token()
        machine = self.cluster.net["one"]
        guest = machine.start("used.log", "tutti-worker", "--join", used, "--name", "user", "--slots", "1",
                              "--dir", machine.dir / "user")
        self.cluster.wait_up("user")
        text = self.refused(used)
        self.assertIn("used already, by worker 'user'", text)
        self.assertIn("tutti worker token", text)

        self.cluster.head.tutti("worker", "remove", "user", check=True)
        self.assertEqual(guest.wait(30), 2)
        self.assertIn("was removed", (machine.dir / "used.log").read_text())
        again = machine.tutti("worker", "--dir", machine.dir / "user", timeout=60)
        self.assertEqual(again.returncode, 2)
        self.assertIn("join again", again.stderr)

        self.assertIn("expired", self.refused(self.cluster.token("--expires", "1ms")))
        self.assertIn("another worker named 'one'", self.refused(self.cluster.token(), name="one"))
        self.assertIn("for a worker named 'other'", self.refused(self.cluster.token("--name", "other")))
        self.assertIn("damaged", self.refused(self.cluster.token()[:-20]))


if __name__ == "__main__":
    enter_user_namespace()
    reason = why_not()
    if reason:
        print(f"skipped: {reason}")
        sys.exit(77)
    unittest.main(verbosity=2)
