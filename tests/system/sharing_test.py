"""How a cluster is shared: srtf against fifo on 30 jobs, queues, dependencies, sweeps, labels, what-if."""

import datetime
import json
import statistics
import time
import unittest

from cluster import Cluster, ClusterTest, sections_spec, wait_for

# Steps and ranks of the 30 jobs, long ones first: the worst order for those that come later.
LONG = [(160, 2), (160, 4), (120, 1), (120, 2), (100, 1), (100, 4)]
SHORT = [(4, 1), (6, 2), (8, 1), (10, 4)]
JOBS = LONG + [SHORT[i % len(SHORT)] for i in range(24)]


def small(name, steps, ranks=1, **more):
    spec = sections_spec(name, max_steps=steps, shards=4, save_steps=1000, save_total_limit=2, logging_steps=2)
    spec["data"].pop("eval")
    spec["training"].pop("eval_steps")
    spec["training"]["global_batch_size"] = 8
    spec["training"]["micro_batch_size"] = 2
    spec["data"]["max_length"] = 32
    spec["resources"] = {"ranks": ranks}
    return {**spec, **more}


def seconds(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def steps_of(cluster, seconds):
    """Steps that take two such jobs at a time about so long on this machine as it is now; the first hundreds are slower."""
    jobs = [cluster.submit(small(f"rate-{i}", 100_000))["id"] for i in range(2)]
    for job in jobs:
        cluster.wait_step(job, 400)
    seen = [cluster.show(job)["progress"] for job in jobs]
    for job in jobs:
        cluster.run("cancel", job, check=True)
        cluster.wait(job)
    return int(min((each["total_steps"] - each["step"]) / each["eta_seconds"] for each in seen) * seconds)


class Policies(unittest.TestCase):
    def run_all(self, cluster, policy):
        """Average completion time of all jobs, released at once; {(steps, ranks): digests}."""
        cluster.run("queue", "set", "--policy", policy, check=True)
        ids = [cluster.submit(small(f"{policy}-{i}", steps, ranks), "--hold")["id"]
               for i, (steps, ranks) in enumerate(JOBS)]
        wait_for("all to be inspected",
                 lambda: all(cluster.show(i)["state"] == "queued" for i in ids), 120)
        released = {}
        for job in ids:
            cluster.run("resume", job, check=True)
            released[job] = datetime.datetime.now(datetime.timezone.utc).timestamp()
        first = self.expected(cluster)
        time.sleep(3)  # until those that run have said how fast they are here
        later = self.expected(cluster)
        times, digests, ended = [], {}, {}
        for job, shape in zip(ids, JOBS):
            self.assertEqual(cluster.wait(job, 240), 0)
            shown = cluster.show(job)
            # A long job may have given way (srtf, after its first minute): with a checkpoint, so nothing is lost.
            self.assertEqual({attempt["reason"] for attempt in shown["attempts"][:-1]} - {"preempt"}, set())
            ended[job] = seconds(shown["finished_at"])
            times.append(ended[job] - released[job])
            digests.setdefault(shape, set()).add(shown["result"]["digest"])
        print(f"{policy}: completion after {statistics.mean(times):.1f} s on average")
        self.report("asked at once", first, ended)
        self.report("three seconds later", later, ended)
        return statistics.mean(times), digests

    def expected(self, cluster):
        """(when asked, {job: estimate} of those that have not ended)."""
        estimates = {job["id"]: job["estimate"] for job in cluster.json("ps")["data"] if not job["finished_at"]}
        return datetime.datetime.now(datetime.timezone.utc).timestamp(), estimates

    def report(self, when, expected, ended):
        """Prints how the predicted ends compare with those that came."""
        asked, estimates = expected
        known = {job: each for job, each in estimates.items() if each and each["end_at"] and job in ended}
        if not known:
            return
        ratios = [(seconds(each["end_at"]) - asked) / max(ended[job] - asked, 0.1) for job, each in known.items()]
        inside = sum(seconds(each["end_at_earliest"]) <= ended[job] <= seconds(each["end_at_latest"])
                     for job, each in known.items())
        print(f"  {when}: {len(known)} ends predicted, {inside} inside their interval; predicted over actual time to the "
              f"end: median {statistics.median(ratios):.2f}, from {min(ratios):.2f} to {max(ratios):.2f}")

    def test_srtf_beats_fifo_and_every_digest_is_that_of_the_job_alone(self):
        with Cluster(workers=2, slots=4) as cluster:
            alone = {}
            for steps, ranks in sorted(set(JOBS)):
                job = cluster.submit(small(f"alone-{steps}-{ranks}", steps, ranks))["id"]
                self.assertEqual(cluster.wait(job, 120), 0)
                alone[(steps, ranks)] = {cluster.show(job)["result"]["digest"]}
            fifo, of_fifo = self.run_all(cluster, "fifo")
            srtf, of_srtf = self.run_all(cluster, "srtf")
            print(f"average completion: fifo {fifo:.1f} s, srtf {srtf:.1f} s ({fifo / srtf:.2f} x)")
            self.assertEqual(of_fifo, alone)
            self.assertEqual(of_srtf, alone)
            self.assertLess(srtf, fifo)
            whatif = cluster.json("simulate", "whatif", "--add-workers", "2", "--policy", "srtf")
            self.assertGreaterEqual(whatif["now"]["jobs"], 60)
            self.assertEqual(whatif["then"]["workers"], 4)


class Preempted(unittest.TestCase):
    def test_a_job_that_gave_way_ends_with_the_digest_of_one_that_did_not(self):
        with Cluster(workers=1, slots=2) as cluster:
            cluster.run("queue", "set", "--policy", "srtf", check=True)
            # No gang is asked to give way in its first minute.
            steps = steps_of(cluster, seconds=150)
            gives_way = cluster.submit(small("gives-way", steps))["id"]
            stays = cluster.submit(small("stays", steps, schedule={"preemptible": False}))["id"]
            cluster.wait_step(gives_way, 1)
            cluster.wait_step(stays, 1)
            short = cluster.submit(small("short", 3))["id"]
            self.assertEqual(cluster.wait(short, 240), 0)
            for job in (gives_way, stays):
                self.assertEqual(cluster.wait(job, 600), 0)
            one, other = cluster.show(gives_way), cluster.show(stays)
            self.assertEqual([attempt["reason"] for attempt in one["attempts"]], ["preempt", None])
            self.assertGreater(one["attempts"][1]["from_step"], 0)
            self.assertEqual(len(other["attempts"]), 1)
            self.assertEqual(one["result"]["digest"], other["result"]["digest"])


class Sharing(ClusterTest):
    @classmethod
    def start(cls):
        return Cluster(workers=1, slots=2)

    def test_queues_are_set_live_and_hold_jobs_back(self):
        self.cluster.run("queue", "set", "9lab", "weight=2", check=True)
        queues = self.cluster.json("queue", "set", "narrow", "slots_max=1", "parent=9lab")
        row = next(q for q in queues["data"] if q["name"] == "narrow")
        self.assertEqual((row["slots_max"], row["parent"]), (1, "9lab"))
        job = self.cluster.submit(small("too-wide", 2, 2, schedule={"queue": "narrow"}))["id"]
        self.cluster.wait_state(job, "queued")
        why = wait_for("the reason", lambda: (w := self.cluster.json("why", job))["reason"] == "quota" and w, 20)
        self.assertIn("may hold 1", why["message"])
        self.assertTrue(any("default" in text for text in why["pending"]["would_help"]), why)
        self.cluster.run("queue", "set", "narrow", "slots_max=0", check=True)
        self.assertEqual(self.cluster.wait(job), 0)

    def test_a_job_waits_for_those_it_depends_on_and_goes_with_them(self):
        first = self.cluster.submit(small("first", 3))["id"]
        after = self.cluster.submit(small("after", 2, schedule={"depends_on": ["first"]}))["id"]
        self.assertEqual(self.cluster.show(after)["depends_on"], [first])
        self.assertEqual(self.cluster.wait(after), 0)
        ended = seconds(self.cluster.show(first)["finished_at"])
        self.assertGreaterEqual(seconds(self.cluster.show(after)["attempts"][0]["placed_at"]), ended)
        held = self.cluster.submit(small("held", 2), "--hold")["id"]
        last = self.cluster.submit(small("last", 2, schedule={"depends_on": [held]}))["id"]
        self.cluster.run("cancel", held, check=True)
        self.assertEqual(self.cluster.wait(last), 1)
        self.assertIn("which was cancelled", self.cluster.show(last)["message"])

    def test_labels_nobody_has_are_named(self):
        job = self.cluster.submit(small("ssd", 2, schedule={"labels": {"disk": "ssd"}}))["id"]
        wait_for("the reason", lambda: "disk=ssd" in (self.cluster.json("why", job)["message"] or ""), 20)
        self.cluster.run("cancel", job, check=True)

    def test_a_sweep_stops_its_losers_early_and_names_the_best(self):
        spec = sections_spec("rates", max_steps=30, eval_steps=10, global_batch_size=16, micro_batch_size=4)
        spec["resources"] = {"ranks": 1}
        spec["sweep"] = {"method": "asha", "parameters": {"training.learning_rate": [1e-9, 1e-3, 1e-8]},
                         "metric": "accuracy"}
        path = self.cluster.dir / "rates.json"
        path.write_text(json.dumps(spec))
        sweep = self.cluster.json("sweep", "submit", path)
        self.assertEqual(len(sweep["trials"]), 3)

        def ended():
            shown = self.cluster.json("sweep", "show", sweep["id"])
            return shown if shown["finished"] == 3 else None
        shown = wait_for("the sweep to end", ended, 180)
        states = sorted(trial["state"] for trial in shown["trials"])
        self.assertIn("cancelled", states, "a loser is stopped early")
        self.assertIn("succeeded", states)
        self.assertEqual(shown["best"]["state"], "succeeded")
        loser = next(trial for trial in shown["trials"] if trial["state"] == "cancelled")
        self.assertIn("at rung 1", loser["message"])
        self.assertLess(loser["step"], 30)
        # The winner's weights are those of the same job alone.
        spec["training"]["learning_rate"] = shown["best"]["parameters"]["training.learning_rate"]
        del spec["sweep"]
        alone = self.cluster.submit({**spec, "name": "winner"})["id"]
        self.assertEqual(self.cluster.wait(alone), 0)
        self.assertEqual(self.cluster.show(alone)["result"]["digest"],
                         self.cluster.show(shown["best"]["job"])["result"]["digest"])
        table = self.cluster.run("sweep", "show", "rates", check=True)
        self.assertIn("ACCURACY", table.stdout)


if __name__ == "__main__":
    unittest.main()
