"""Ten thousand jobs: the list stays smooth, because only the rows in sight are drawn and the coordinator
gives it pages as it is scrolled. A coordinator alone: no worker runs so many."""

import concurrent.futures
import http.client
import json
import os
import pathlib
import subprocess
import tempfile
import unittest

from browser import Browser, expect
from cluster import BIN, wait_for

JOBS = 10_000
SENDERS = 16
ROWS_MAX = 80  # in the document at a time
SPEC = """\
name: job-00000
task: text-classification
model: bert-tiny
data: {train: rows.csv}
training: {max_steps: 10}
"""


class Coordinator:
    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="tutti-test-")
        self.dir = pathlib.Path(self.folder.name)
        self.process = subprocess.Popen(
            [BIN / "tutti-coordinator", "--data-dir", self.dir, "--http", "127.0.0.1:0", "--zmq",
             "127.0.0.1:0"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        serving = self.dir / "coordinator/serving.json"
        wait_for("the coordinator to serve", serving.exists)
        self.endpoint = {"url": json.loads(serving.read_text())["url"]}
        self.token = (self.dir / "token").read_text().strip()
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(30)
        self.folder.cleanup()

    def run(self, *words, check=True):
        return subprocess.run(
            [BIN / "tutti", "--url", self.endpoint["url"], *words], check=check, capture_output=True,
            text=True, timeout=60, env={**os.environ, "TUTTI_TOKEN": self.token})

    def connect(self):
        return http.client.HTTPConnection(self.endpoint["url"].removeprefix("http://"), timeout=60)

    def post(self, connection, path, body):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        connection.request("POST", "/api/v1" + path, data, {
            "Authorization": f"Bearer {self.token}", "Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read()
        assert answer.status in (200, 201), f"POST {path}: {answer.status} {text[:500]}"
        return json.loads(text)

    def submit(self, jobs):
        """As the form does: a checked spec, blobs for its inputs."""
        connection = self.connect()
        spec = self.post(connection, "/specs/check", {"text": SPEC})["spec"]
        rows = self.post(connection, "/blobs", b"text,label\na,b\n")
        spec["inputs"] = {"train": {"path": "rows.csv", **rows}, "model": [
            {"path": name, **self.post(connection, "/blobs", name.encode())}
            for name in ("config.json", "model.safetensors", "tokenizer.json")]}

        connection.close()

        def send(numbers):
            mine = self.connect()
            for number in numbers:
                self.post(mine, "/jobs", {"spec": {**spec, "name": f"job-{number:05}"}})
            mine.close()

        with concurrent.futures.ThreadPoolExecutor(SENDERS) as pool:
            for done in [pool.submit(send, range(i, jobs, SENDERS)) for i in range(SENDERS)]:
                done.result()


class TenThousandJobs(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.coordinator = Coordinator().__enter__()
        cls.coordinator.submit(JOBS)
        cls.browser = Browser().__enter__()
        cls.ana = cls.browser.visitor()
        cls.ana.sign_in(cls.coordinator)
        cls.page = cls.ana.page
        cls.ana.go("/jobs")

    @classmethod
    def tearDownClass(cls):
        cls.browser.__exit__()
        cls.coordinator.__exit__()

    def rows(self):
        return self.page.locator(".tall .vrow")

    def scroll_to(self, share):
        """Moves the list there in small steps, one a frame; the longest frame in milliseconds."""
        return self.page.evaluate(
            """(share) => new Promise((done) => {
                 const list = document.querySelector('.vlist');
                 const from = list.scrollTop, to = share * (list.scrollHeight - list.clientHeight);
                 let step = 0, longest = 0, before = performance.now();
                 const frame = (now) => {
                   longest = Math.max(longest, now - before);
                   before = now;
                   if (step === 60) return done(longest);
                   list.scrollTop = from + (to - from) * (++step / 60);
                   requestAnimationFrame(frame);
                 };
                 requestAnimationFrame(frame);
               })""", share)

    def test_only_rows_in_sight_are_drawn_and_all_can_be_reached(self):
        expect(self.page.locator(".chips button").first).to_contain_text("10,000")
        expect(self.rows().first).to_be_visible()

        def at_the_end():
            self.page.evaluate("document.querySelector('.vlist').scrollTop = 1e9")
            self.assertLessEqual(self.rows().count(), ROWS_MAX)
            return self.page.locator(".vlist").get_attribute("aria-rowcount") == str(JOBS + 1)

        wait_for("all pages to be read", at_the_end, 120)
        longest = 0
        for share in (0, 0.9, 0.5, 1):
            longest = max(longest, self.scroll_to(share))
            self.assertLessEqual(self.rows().count(), ROWS_MAX)
        print(f"longest frame of a scroll through {JOBS} jobs: {longest:.0f} ms, "
              f"{self.rows().count()} rows drawn")
        self.assertGreater(self.rows().count(), 10)
        self.ana.screenshot("ten-thousand")
        self.assertEqual(self.ana.complaints, [])

    def test_the_coordinator_finds_one_among_them(self):
        self.page.get_by_label("filter by name, id or user").fill("job-00777")
        expect(self.rows()).to_have_count(1)
        expect(self.rows()).to_contain_text("job-00777")
        self.page.get_by_label("filter by name, id or user").fill("nobody has this")
        expect(self.page.get_by_text("No job has")).to_be_visible()
        self.page.get_by_label("filter by name, id or user").fill("")
        expect(self.rows().first).to_be_visible()


if __name__ == "__main__":
    unittest.main(verbosity=2)
