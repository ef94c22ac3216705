"""Webhooks as their receivers see them: signed, sent again under one id after a 500, after a time without a
receiver and after the coordinator was killed; and nothing to where a job's may not go."""

import json
import os
import signal
import sqlite3
import tempfile
import unittest

from cluster import ClusterTest, sections_spec, wait_for
from receiver import Receiver, is_signed


def quick_spec(name, **more):
    spec = sections_spec(name, max_steps=2, save_steps=2, eval_steps=2)
    spec["resources"] = {"ranks": 1}
    return {**spec, **more}


class Webhooks(ClusterTest):
    def make(self, url, *options):
        hook = self.cluster.json("webhook", "create", url, *options)
        self.addCleanup(lambda: self.cluster.run("webhook", "delete", hook["id"]))
        return hook

    def messages(self, receiver):
        return [json.loads(seen.body) for seen in receiver.seen]

    def told(self, receiver, job):
        """The types of the messages about a job, each id once."""
        found = {}
        for message in self.messages(receiver):
            if message.get("job", {}).get("id") == job:
                found[message["id"]] = message["type"]
        return list(found.values())

    def kill_coordinator(self):
        os.kill(self.cluster.endpoint["coordinator_pid"], signal.SIGKILL)

    def await_coordinator(self):
        wait_for("the coordinator to return", lambda: self.cluster.run("ps").returncode == 0, 30)
        self.cluster.endpoint = json.loads((self.cluster.dir / "endpoint.json").read_text())

    def test_each_message_is_signed_and_sent_until_it_is_taken(self):
        with Receiver() as receiver:
            hook = self.make(receiver.url + "/all?of=them", "--on", "running,succeeded", "--name", "all")
            own = Receiver()
            own.answers = [500, 429]
            with own:
                job = self.cluster.submit(quick_spec("told", webhooks=[
                    {"url": own.url + "/mine", "on": ["succeeded"]}]))["id"]
                self.assertEqual(self.cluster.wait(job), 0)
                wait_for("the cluster's messages", lambda: len(self.told(receiver, job)) == 2)
                wait_for("the job's third try", lambda: len(own.seen) == 3)
            self.assertEqual(self.told(receiver, job), ["job.running", "job.succeeded"])
            self.assertEqual({seen.path for seen in receiver.seen}, {"/all?of=them"})
            for seen in receiver.seen:
                self.assertTrue(is_signed(seen, hook["secret"]), seen.headers)
                self.assertEqual(seen.headers["webhook-id"], json.loads(seen.body)["id"])
            secret = self.cluster.json("webhook", "secret")["secret"]
            for seen in own.seen:
                self.assertTrue(is_signed(seen, secret), seen.headers)
                self.assertFalse(is_signed(seen, hook["secret"]))
            self.assertEqual(len({seen.headers["webhook-id"] for seen in own.seen}), 1)
            message = json.loads(own.seen[-1].body)
            self.assertEqual(message["job"]["metrics"], self.cluster.show(job)["result"]["metrics"])
            self.assertIn("told", message["text"])
            self.assertIn(f"/ui/jobs/{job}", message["text"])
            self.cluster.run("webhook", "delete", "all", check=True)

    def test_a_test_says_what_the_receiver_answered(self):
        with Receiver() as receiver:
            hook = self.make(receiver.url)
            self.assertEqual(self.cluster.run("webhook", "test", hook["id"]).returncode, 0)
            self.assertEqual([m["type"] for m in self.messages(receiver)], ["ping"])
            receiver.answers = [404]
            failed = self.cluster.run("webhook", "test", hook["id"])
            self.assertEqual(failed.returncode, 1)
            self.assertIn("it answered 404", failed.stderr)
        gone = self.cluster.run("webhook", "test", hook["id"])
        self.assertEqual(gone.returncode, 1)
        self.assertIn("refused", gone.stderr)
        self.cluster.run("webhook", "delete", hook["id"], check=True)
        self.assertEqual(self.cluster.run("webhook", "test", hook["id"]).returncode, 5)

    def test_what_waits_outlives_the_coordinator(self):
        with Receiver() as away:
            pass  # its port, where nobody listens for now
        hook = self.make(away.url)
        jobs = [self.cluster.submit(quick_spec(name))["id"] for name in ("first", "second")]
        self.assertEqual(self.cluster.wait(jobs[0]), 0)
        wait_for("a try that failed", lambda: self.listed(hook)["last"])
        self.assertIsNotNone(self.listed(hook)["last"]["error"])
        self.assertEqual(self.cluster.wait(jobs[1]), 0)
        self.kill_coordinator()  # just as the second one's fact was stored
        self.await_coordinator()
        self.assertGreaterEqual(self.listed(hook)["waiting"], 1)
        with Receiver(away.port) as receiver:
            wait_for("both messages", lambda: all(self.told(receiver, job) for job in jobs), 60)
            for job in jobs:
                self.assertEqual(self.told(receiver, job), ["job.succeeded"])
            for seen in receiver.seen:
                self.assertTrue(is_signed(seen, hook["secret"]))
            wait_for("nothing to wait", lambda: self.listed(hook)["waiting"] == 0)
            taken = len(receiver.seen)
            # Saved as taken a second later: another start sends nothing again.
            wait_for("it to be kept", lambda: not self.stored_messages())
            self.kill_coordinator()
            self.await_coordinator()
            job = self.cluster.submit(quick_spec("third"))["id"]
            self.assertEqual(self.cluster.wait(job), 0)
            wait_for("the third", lambda: self.told(receiver, job))
            self.assertEqual(len(receiver.seen), taken + 1)
        self.cluster.run("webhook", "delete", hook["id"], check=True)

    def listed(self, hook):
        return next(each for each in self.cluster.json("webhook", "list")["data"] if each["id"] == hook["id"])

    def stored_messages(self):
        """Messages that a copy of the database has."""
        with tempfile.TemporaryDirectory() as folder:
            self.cluster.run("backup", folder + "/copy", check=True)
            with sqlite3.connect(folder + "/copy/coordinator/state.db") as db:
                return db.execute("SELECT count(*) FROM webhook_deliveries").fetchone()[0]

    def test_where_clouds_keep_credentials_nothing_is_sent(self):
        refused = self.cluster.run("webhook", "create", "http://169.254.169.254/latest/meta-data")
        self.assertEqual(refused.returncode, 3)
        self.assertIn("a link-local address", refused.stderr)
        path = self.cluster.dir / "refused.json"
        path.write_text(json.dumps(quick_spec("refused", webhooks=[
            {"url": "http://[fe80::1]/x", "on": ["failed"]}])))
        job = self.cluster.run("submit", path)
        self.assertEqual(job.returncode, 3)
        self.assertIn("--webhooks-to", job.stderr)
        self.assertEqual(self.cluster.json("webhook", "list")["data"], [])


if __name__ == "__main__":
    unittest.main(verbosity=2)
