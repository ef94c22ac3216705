"""TensorBoard's and MLflow's own libraries read what Tutti writes for them: of a job whose ranks and
coordinator were killed on the way, every step once, with the values that the curves have."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import unittest

from cluster import ROOT, Cluster, sections_spec, wait_for

READ_EVENTS = """
import json, sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
events = EventAccumulator(sys.argv[1], size_guidance={"scalars": 0, "tensors": 0}, purge_orphaned_data=False).Reload()
spec = events.Tensors("spec/text_summary")[0].tensor_proto.string_val[0].decode()
print(json.dumps({"scalars": {tag: [[e.step, e.value, e.wall_time] for e in events.Scalars(tag)]
                              for tag in events.Tags()["scalars"]}, "spec": spec}))
"""

READ_RUNS = """
import json, sys
from mlflow.tracking import MlflowClient
client = MlflowClient("file:" + sys.argv[1])
out = []
for experiment in client.search_experiments():
    for run in client.search_runs([experiment.experiment_id]):
        history = {name: [[m.step, m.value, m.timestamp] for m in client.get_metric_history(run.info.run_id, name)]
                   for name in run.data.metrics}
        artifacts = [a.path for a in client.list_artifacts(run.info.run_id)]
        text = {a: open(client.download_artifacts(run.info.run_id, a)).read() for a in artifacts}
        out.append({"experiment": experiment.name, "name": run.info.run_name, "status": run.info.status,
                    "start": run.info.start_time, "end": run.info.end_time, "params": run.data.params,
                    "tags": run.data.tags, "metrics": history, "artifacts": text})
print(json.dumps(out))
"""


def readers():
    """The python that has the real libraries; None when it cannot be had."""
    made = subprocess.run([ROOT / "packaging/readers.sh"], capture_output=True, text=True)
    return made.stdout.strip() if made.returncode == 0 else None


def read(script, *arguments):
    env = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"}
    ran = subprocess.run([PYTHON, "-W", "ignore", "-c", script, *map(str, arguments)], capture_output=True, text=True,
                         timeout=120, env=env)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def restart_coordinator(cluster):
    os.kill(cluster.endpoint["coordinator_pid"], signal.SIGKILL)
    wait_for("the coordinator to return", lambda: cluster.run("ps").returncode == 0, 30)
    cluster.endpoint = json.loads((cluster.dir / "endpoint.json").read_text())


class Exports(unittest.TestCase):
    def run_with_deaths(self, cluster):
        """A finished job of 120 steps: a rank killed beyond a checkpoint, the coordinator killed twice."""
        spec = sections_spec("deaths", max_steps=120, save_steps=20, eval_steps=20, micro_batch_size=4,
                             global_batch_size=16)
        spec["resources"] = {"ranks": 1}
        spec["tensorboard"] = True
        spec["metadata"] = {"ticket": "42"}
        job = cluster.submit(spec)["id"]
        wait_for("a checkpoint", lambda: cluster.show(job)["checkpoints"], 60)
        cluster.wait_step(job, cluster.show(job)["checkpoints"][-1]["step"] + 4)
        for pid in wait_for("ranks", lambda: cluster.rank_pids(job)):
            os.kill(pid, signal.SIGKILL)
        restart_coordinator(cluster)
        wait_for("the second attempt", lambda: cluster.show(job)["attempt"] == 2, 30)
        restart_coordinator(cluster)
        self.assertEqual(cluster.wait(job), 0, cluster.show(job))
        return job

    def assert_curve(self, told, points, name):
        """Steps and values of a tool's curve are those of ours."""
        self.assertEqual([step for step, _, _ in told], [point["step"] for point in points], name)
        self.assert_values(told, points, name)

    def assert_values(self, told, points, name):
        """Where both have a step they have one value; how many that are."""
        ours = {point["step"]: point["value"] for point in points}
        both = [(step, value) for step, value, _ in told if step in ours]
        for step, value in both:
            self.assertAlmostEqual(value, ours[step], delta=1e-6 * max(1, abs(ours[step])), msg=f"{name} {step}")
        return len(both)

    def test_real_libraries_read_what_is_written(self):
        with Cluster(slots=1) as cluster:
            job = self.run_with_deaths(cluster)
            wait_for("the last points", lambda: {
                s["name"]: s["points"][-1]["step"] for s in cluster.http("GET", f"/api/v1/jobs/{job}/metrics")["data"]
            }.get("eval.accuracy") == 120, 20)
            curves = {s["name"]: s["points"] for s in
                      cluster.http("GET", f"/api/v1/jobs/{job}/metrics?points=10000")["data"]}
            folder = cluster.dir / f"tensorboard/deaths.{job}"
            self.events(cluster, folder, curves, live=True)
            made = cluster.run("export", "tensorboard", job, cluster.dir / "tb", check=True).stdout.strip()
            self.events(cluster, pathlib.Path(made), curves, live=False)
            self.mlflow(cluster, job, curves)

    def events(self, cluster, folder, curves, live):
        self.assertEqual(len(list(folder.iterdir())), 1)
        wait_for("the last event", lambda: read(READ_EVENTS, folder)["scalars"]["eval/accuracy"][-1][0] == 120, 30)
        told = read(READ_EVENTS, folder)
        self.assertIn('"ticket": "42"', told["spec"])
        for tag, points in told["scalars"].items():
            steps = [step for step, _, _ in points]
            self.assertEqual(steps, sorted(set(steps)), f"{folder.name}: {tag} has steps twice")
        for tag, name in (("train/loss", "loss"), ("train/learning_rate", "learning_rate"),
                          ("train/grad_norm", "grad_norm"), ("eval/accuracy", "eval.accuracy")):
            if live:
                # Each loses what it had not written when the coordinator died, up to a second of its own.
                self.assertGreater(self.assert_values(told["scalars"][tag], curves[name], tag), 0)
            else:
                self.assert_curve(told["scalars"][tag], curves[name], tag)
            self.assertEqual(told["scalars"][tag][-1][0], 120)
        self.assertIn("perf/tokens_per_second", told["scalars"])
        self.assertGreater(len(told["scalars"]["train/loss"]), 40)
        if live:
            self.assertEqual([p.name for p in (cluster.dir / "tensorboard").iterdir()], [folder.name])

    def mlflow(self, cluster, job, curves):
        # MLflow's own default experiment may be there, or not.
        for _ in range(2):
            cluster.run("export", "mlflow", job, cluster.dir / "mlruns", check=True)
        cluster.run("export", "mlflow", job, cluster.dir / "mlruns", "--experiment", "other one", check=True)
        runs = read(READ_RUNS, cluster.dir / "mlruns")
        self.assertEqual(sorted(run["experiment"] for run in runs), ["other one", "tutti"])
        run = next(run for run in runs if run["experiment"] == "tutti")
        shown = cluster.show(job)
        self.assertEqual((run["name"], run["status"]), ("deaths", "FINISHED"))
        self.assertGreater(run["end"], run["start"])
        self.assertEqual(float(run["params"]["training.learning_rate"]), 1e-3)
        self.assertEqual(run["params"]["task"], "text-classification")
        self.assertEqual(run["tags"]["metadata.ticket"], "42")
        self.assertEqual(run["tags"]["tutti.job"], job)
        self.assertEqual(run["tags"]["tutti.model_digest"], shown["result"]["digest"])
        for name, curve in (("loss", "loss"), ("eval_accuracy", "eval.accuracy")):
            self.assert_curve(run["metrics"][name], curves[curve], name)
        self.assertAlmostEqual(run["metrics"]["result_accuracy"][0][1], shown["result"]["metrics"]["accuracy"])
        self.assertEqual(sorted(run["artifacts"]), ["README.md", "spec.json"])
        self.assertEqual(run["artifacts"]["README.md"], (cluster.dir / f"models/{job}/README.md").read_text())
        self.assertEqual(json.loads(run["artifacts"]["spec.json"])["name"], "deaths")


if __name__ == "__main__":
    PYTHON = readers()
    if PYTHON is None:
        print("NOT CHECKED: packaging/readers.sh found no TensorBoard and MLflow")
        sys.exit(1 if os.environ.get("CI") == "true" else 77)
    unittest.main(verbosity=2)
