"""The dashboard in Debian's Chromium, on a real cluster: each page and flow, as people go through them.

The parts of `Story` run in the order of their numbers on one cluster of two machines: later ones look at jobs
that earlier ones left. Screenshots go to build/screens.
"""

import csv
import json
import os
import pathlib
import re
import signal
import unittest

from browser import PHONE, ROOT, SCREENS, PageTest, expect
from cluster import EXAMPLES, Cluster, sections_spec, wait_for
from receiver import Receiver

# What a hostile model card might try. Each has to be shown as text, or be gone.
HOSTILE_CARD = """---
title: front matter
---
# A card <script>window.hacked = 1</script>

<img src=x onerror="window.hacked = 2"> <iframe src="https://evil.example/"></iframe>

[click me](javascript:window.hacked=3) [data](data:text/html,<script>window.hacked=4</script>)
[fine](https://example.org/a?b=1&c=2) ![picture](https://evil.example/track.png)

| a | b |
|---|---|
| `<b>code</b>` | **bold** & <u>under</u> |

<svg/onload=window.hacked=5> <a href="vbscript:x" onclick="window.hacked=6">raw</a>
"""


def slow_spec(name, **training):
    """A job of some minutes on two ranks, which others may watch, stop and kill."""
    spec = sections_spec(name, max_steps=4000, save_steps=25, eval_steps=200, logging_steps=1, **training)
    spec["resources"]["ranks"] = {"min": 1, "max": 2}
    return spec


class Story(PageTest):
    @classmethod
    def start(cls):
        return Cluster(workers=2, slots=2)

    def setUp(self):
        self.page.set_viewport_size({"width": 1440, "height": 900})

    # ---- getting in ----------------------------------------------------------------------------

    def test_01_a_ticket_signs_in_once_and_the_cookie_is_out_of_reach(self):
        cookies = self.ana.context.cookies()
        self.assertEqual(len(cookies), 1)
        self.assertTrue(cookies[0]["httpOnly"])
        self.assertEqual(cookies[0]["sameSite"], "Strict")
        self.assertEqual(self.page.evaluate("document.cookie"), "")
        self.assertNotIn("ticket", self.page.url)
        other = self.browser.visitor()
        other.page.goto(self.url)
        expect(other.page.get_by_text("That address was used before")).to_be_visible()
        other.screenshot("sign-in")
        self.assertEqual(other.axe(), [])
        other.close()

    def test_02_the_policy_lets_in_nothing_but_our_own_files(self):
        answer = self.page.goto(self.cluster.endpoint["url"] + "/ui/")
        policy = answer.headers["content-security-policy"]
        for part in ("default-src 'none'", "script-src 'self'", "style-src 'self'",
                     "connect-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"):
            self.assertIn(part, policy)
        self.assertNotIn("unsafe", policy)
        blocked = self.page.evaluate(
            """() => new Promise((done) => {
                 document.addEventListener('securitypolicyviolation', (e) => done(e.violatedDirective));
                 const script = document.createElement('script');
                 script.textContent = 'window.hacked = 1';
                 document.body.append(script);
                 setTimeout(() => done('nothing'), 5000);
               })""")
        self.assertIn("script-src", blocked)
        self.ana.complaints.clear()  # Chromium tells of what was just tried

    def test_03_the_first_load_is_small(self):
        self.page.reload()
        self.ana.is_live()
        files = self.page.evaluate(
            "performance.getEntriesByType('resource').concat(performance.getEntriesByType('navigation'))"
            ".filter((e) => !e.name.includes('/api/')).map((e) => [e.name, e.encodedBodySize])")
        self.assertGreaterEqual(len(files), 3, files)
        self.assertLess(sum(size for _, size in files), 150_000, files)

    def test_04_an_empty_cluster_says_what_to_do(self):
        expect(self.page.get_by_role("heading", name="Your cluster is ready")).to_be_visible()
        self.ana.screenshot("empty")
        for path, words in (("/jobs", "No jobs yet"), ("/queue", "Nobody waits"),
                            ("/models", "No models yet"), ("/compare", "Choose runs"),
                            ("/jobs/j-nosuch00", "no job"), ("/nowhere", "no such page")):
            self.ana.go(path)
            expect(self.page.locator("#main")).to_contain_text(words)

    # ---- somebody who is no engineer -----------------------------------------------------------

    def test_10_a_csv_becomes_a_running_job(self):
        self.ana.go("/new")
        self.page.get_by_label("training data").set_input_files(self.write_csv())
        expect(self.page.locator(".preview")).to_contain_text("CSV with 3 columns")
        expect(self.page.get_by_label("Text is in")).to_have_value("review")
        expect(self.page.get_by_label("Its label is in")).to_have_value("section")
        expect(self.page.locator(".problems")).to_contain_text("model")
        self.page.locator("input[aria-label=\"a model's folder\"]").set_input_files(
            EXAMPLES / "models/bert-tiny")
        expect(self.page.get_by_text("ready to start")).to_be_visible()
        self.page.get_by_label("Epochs").fill("1")
        self.page.get_by_label("Epochs").press("Tab")
        expect(self.page.locator("#spec")).to_have_value(re.compile(r"num_train_epochs: 1\b"))
        expect(self.page.get_by_text("ready to start")).to_be_visible()
        self.page.get_by_role("button", name="Estimate").click()
        expect(self.page.locator(".panel", has_text="Memory per rank").last).to_contain_text("MiB")
        self.ana.screenshot("new-job", whole=True)
        self.assertEqual(self.ana.axe(), [])
        self.page.get_by_role("button", name="Start").click()
        expect(self.page.get_by_role("heading", name="my-reviews")).to_be_visible()
        expect(self.page.locator("h1 .badge")).to_have_text("succeeded", timeout=90_000)
        job = self.cluster.show("my-reviews")
        self.assertEqual(job["state"], "succeeded")
        self.assertEqual(job["estimate"]["rows"], 360)
        self.ana.screenshot("job-succeeded")

    def write_csv(self):
        path = pathlib.Path(self.cluster.dir) / "my reviews.csv"
        rows = [json.loads(line) for line in
                (EXAMPLES / "data/sections.train.jsonl").read_text(encoding="utf-8").splitlines()[:400]]
        with open(path, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["id", "review", "section"])
            writer.writerows([i, row["text"], row["label"]] for i, row in enumerate(rows))
        return path

    def test_11_what_is_wrong_is_named_at_its_line(self):
        self.ana.go("/new")
        self.page.locator("#spec").fill(
            "name: a\ntask: text-classification\nmodel: bert\ndata: {train: x.csv}\ntraining:\n"
            "  learning_rat: 1\n")
        problem = self.page.locator(".problems li", has_text="learning_rat")
        expect(problem).to_contain_text("line 6")
        expect(problem).to_contain_text("learning_rate")
        expect(self.page.locator(".gutter .wrong")).to_have_text("6")
        expect(self.page.get_by_role("button", name="Start")).to_be_disabled()
        problem.get_by_role("button").click()
        self.assertEqual(self.page.evaluate("document.activeElement.id"), "spec")
        self.ana.screenshot("new-job-wrong")

    # ---- a job that runs -----------------------------------------------------------------------

    def test_20_a_running_job_is_seen_at_work(self):
        Story.job = self.cluster.submit(slow_spec("watched"))["id"]
        self.ana.go("/")
        row = self.page.locator("tr", has_text="watched")
        expect(row.locator(".badge").first).to_have_text("running")
        expect(row.locator("svg.spark polyline")).to_be_visible()
        expect(row).to_contain_text("4,000")
        self.ana.screenshot("overview")
        row.get_by_role("link", name="watched").click()
        expect(self.stat("Step")).to_contain_text("of 4,000")
        for title in ("Loss", "Learning rate", "Gradient norm", "Tokens per second", "Memory"):
            expect(self.page.locator(f"[data-chart='{title}'] canvas")).to_be_visible(timeout=40_000)
        self.assertGreater(self.ana.inked("[data-chart='Loss'] canvas"), 500)
        expect(self.page.locator(".phases")).to_have_attribute("aria-label", re.compile("forward [1-9]"))
        self.moves_on(20)

    def stat(self, label):
        """The number of that label; others' notes may have the word, too."""
        return self.page.locator(".stat", has=self.page.get_by_text(label, exact=True))

    def step(self):
        words = self.stat("Step").locator(".value").inner_text()
        digits = re.match(r"[\d,]+", words)
        return int(digits[0].replace(",", "")) if digits else 0

    def moves_on(self, by):
        before = self.step()
        wait_for("the shown step to go on", lambda: self.step() >= before + by, 60)

    def test_21_a_chart_zooms_and_tells_what_is_under_the_pointer(self):
        self.page.locator("[data-chart='Loss'] .u-over").scroll_into_view_if_needed()
        box = self.page.locator("[data-chart='Loss'] .u-over").bounding_box()
        at = lambda share: (box["x"] + share * box["width"], box["y"] + box["height"] / 2)  # noqa: E731
        self.page.mouse.move(*at(0.5))
        expect(self.page.locator("[data-chart='Loss'] .u-legend .u-value").nth(1)).to_have_text(
            re.compile(r"\d"))
        self.page.mouse.down()
        self.page.mouse.move(*at(0.8), steps=5)
        self.page.mouse.up()
        whole = self.page.locator("[data-chart='Loss']").get_by_role("button", name="Show all")
        expect(whole).to_be_visible()
        self.moves_on(3)
        expect(whole).to_be_visible()
        self.ana.screenshot("job-zoomed")
        whole.click()
        expect(whole).to_have_count(0)
        self.ana.screenshot("job")

    def test_22_a_rank_is_killed_while_somebody_watches(self):
        self.page.evaluate("window.notReloaded = true")
        self.cluster.wait_step(self.job, 30)
        wait_for("a checkpoint", lambda: self.cluster.show(self.job)["checkpoints"], 60)
        pids = self.cluster.ranks(self.job)
        os.kill(pids[-1], signal.SIGKILL)
        attempts = self.page.locator(".facts div", has_text="Attempts").locator("dd")
        expect(attempts).to_have_text("2")
        expect(self.page.locator("h1 .badge")).to_have_text("running", timeout=30_000)
        self.moves_on(5)
        self.page.get_by_role("tab", name="Timeline").click()
        expect(self.page.locator(".feed li.e-attempt_failed")).to_contain_text("was killed by SIGKILL")
        expect(self.page.locator(".feed")).to_contain_text("goes on from step")
        expect(self.page.locator(".timeline .t-failed")).to_have_count(1)
        self.assertTrue(self.page.evaluate("window.notReloaded"))
        self.ana.screenshot("job-timeline")
        self.assertEqual(self.ana.axe(), [])

    def test_23_logs_are_searched_and_filtered(self):
        self.page.get_by_role("tab", name="Logs").click()
        lines = self.page.locator(".log > div:has(time)")
        expect(lines.first).to_be_visible()
        self.ana.screenshot("job-logs")
        words = lines.first.locator("span").inner_text().split()[0]
        self.page.get_by_label("only lines with this text").fill(words)
        expect(lines.first).to_contain_text(words)
        self.page.get_by_label("only lines with this text").fill("no line has this")
        expect(self.page.get_by_text('No line has "no line has this"')).to_be_visible()
        self.page.get_by_label("only lines with this text").fill("")
        self.page.get_by_label("rank", exact=True).select_option("1")
        wait_for("lines of rank 1 alone", lambda: set(
            lines.locator("b").all_inner_texts()) <= {"1"}, 20)
        self.assertEqual(self.ana.axe(), [])

    def test_24_spec_and_checkpoints(self):
        self.page.get_by_role("tab", name="Spec").click()
        expect(self.page.locator("pre.code")).to_contain_text("name: watched")
        self.page.get_by_label("Other job").select_option(
            self.cluster.show("my-reviews")["id"])
        expect(self.page.locator("tr", has_text="training.max_steps")).to_contain_text("4000")
        self.ana.screenshot("job-spec")
        self.page.get_by_role("tab", name="Checkpoints").click()
        expect(self.page.locator("tbody tr").first).to_contain_text("sha256:")

    def test_25_a_resize_a_pause_and_going_on(self):
        self.ana.go(f"/jobs/{self.job}")
        self.page.get_by_role("button", name="Resize").click()
        self.page.get_by_role("dialog").get_by_text("1", exact=True).click()
        self.page.get_by_role("dialog").get_by_role("button", name="Resize").click()
        expect(self.stat("Tokens/s")).to_contain_text("1 of 2 ranks", timeout=30_000)
        self.page.get_by_role("button", name="Pause").click()
        expect(self.page.get_by_role("dialog")).to_contain_text("checkpoint")
        self.ana.screenshot("dialog")
        self.assertEqual(self.ana.axe(), [])
        self.page.get_by_role("button", name="Pause it").click()
        expect(self.page.locator("h1 .badge")).to_have_text("paused", timeout=30_000)
        self.page.get_by_role("button", name="Resume").click()
        expect(self.page.locator("h1 .badge")).to_have_text("running", timeout=30_000)
        self.moves_on(3)

    def test_26_the_coordinator_dies_and_comes_back(self):
        self.page.evaluate("window.notReloaded = true")
        self.ana.is_live()
        os.kill(self.cluster.endpoint["coordinator_pid"], signal.SIGKILL)
        expect(self.page.locator(".line")).to_have_class(re.compile(r"\blost\b"))
        expect(self.page.get_by_text("The coordinator does not answer")).to_have_count(1)
        self.ana.is_live()
        self.cluster.endpoint = json.loads((self.cluster.dir / "endpoint.json").read_text())
        self.moves_on(5)
        self.assertTrue(self.page.evaluate("window.notReloaded"))
        self.ana.complaints.clear()  # of requests that were cut

    # ---- others wait ---------------------------------------------------------------------------

    def test_30_who_waits_why_and_in_which_order(self):
        for name in ("waits-1", "waits-2"):
            spec = slow_spec(name)
            spec["resources"]["ranks"] = 4
            spec["training"]["shards"] = 4
            self.cluster.wait_state(self.cluster.submit(spec)["id"], "queued")
        self.cluster.submit(slow_spec("on-hold"), "--hold")
        self.ana.go("/queue")
        rows = self.page.locator(".panel", has_text="In the order they start").locator("tbody tr")
        expect(rows).to_have_count(3)
        expect(rows.nth(0)).to_contain_text("waits-1")
        expect(rows.nth(0).locator(".whycell")).to_contain_text(re.compile("slot"))
        expect(rows.nth(2)).to_contain_text("held")
        self.ana.screenshot("queue")
        self.page.get_by_role("button", name="raise the priority of waits-2").click()
        expect(rows.nth(0)).to_contain_text("waits-2")
        self.assertEqual(self.cluster.show("waits-2")["priority"], 1)
        rows.nth(1).drag_to(rows.nth(0))
        expect(rows.nth(0)).to_contain_text("waits-1")
        self.assertEqual(self.cluster.show("waits-1")["priority"], 2)
        self.assertEqual(self.ana.axe(), [])

    def test_31_machines_their_slots_and_a_drain(self):
        self.ana.go("/cluster")
        expect(self.page.locator(".machine")).to_have_count(2)
        expect(self.page.locator(".machine .slots .slot.used").first).to_be_visible()
        self.ana.screenshot("cluster")
        self.assertEqual(self.ana.axe(), [])
        empty = self.page.locator(".machine", has_not=self.page.locator(".gangs")).first
        name = empty.locator("h2 a").inner_text()
        empty.get_by_role("button", name="Drain").click()
        self.page.get_by_role("button", name="Drain it").click()
        expect(self.page.locator(".machine", has_text=name).locator(".badge").first).to_have_text(
            "draining")
        self.page.locator(".machine", has_text=name).get_by_role("button", name="Undrain").click()
        expect(self.page.locator(".machine", has_text=name).locator(".badge").first).to_have_text("up")
        self.page.get_by_role("link", name=name, exact=True).click()
        expect(self.page.locator("[data-chart='CPU'] canvas")).to_be_visible()
        self.ana.screenshot("machine")
        self.assertEqual(self.ana.axe(), [])

    def test_32_a_cancel_asks_first(self):
        for name in ("waits-1", "waits-2", "on-hold", self.job):
            self.ana.go(f"/jobs/{self.cluster.show(name)['id']}")
            self.page.get_by_role("button", name="Cancel").click()
            self.page.get_by_role("button", name="Leave it").click()
            expect(self.page.get_by_role("dialog")).to_have_count(0)
            self.page.get_by_role("button", name="Cancel").click()
            self.page.get_by_role("button", name="Cancel the job").click()
            expect(self.page.locator("h1 .badge")).to_have_text("cancelled", timeout=30_000)

    def test_33_a_failure_says_why_and_what_to_do(self):
        bad = self.cluster.dir / "bad.jsonl"
        bad.write_text('{"text": "a", "label": "x"}\n{"text": 5}\n')
        spec = sections_spec("bad-data")
        spec["data"] = {"train": str(bad)}
        del spec["training"]["eval_steps"]
        job = self.cluster.submit(spec)["id"]
        self.cluster.wait(job)
        self.ana.go(f"/jobs/{job}")
        notice = self.page.locator(".notice.bad")
        expect(notice).to_contain_text("bad.jsonl:2")
        expect(notice).to_contain_text("submit again")
        self.ana.screenshot("job-failed")
        self.ana.go("/")
        expect(self.page.locator(".panel", has_text="Recent failures")).to_contain_text("bad-data")

    # ---- what came of it -----------------------------------------------------------------------

    def test_40_runs_are_compared_and_the_address_keeps_it(self):
        spec = sections_spec("other-rate", learning_rate=3e-3)
        self.assertEqual(self.cluster.wait(self.cluster.submit(spec)["id"]), 0)
        self.ana.go("/compare")
        for name in ("my-reviews", "other-rate"):
            self.page.locator(".picks label", has_text=name).click()
        expect(self.page.locator(".u-legend tr")).to_have_count(3)
        expect(self.page.locator("tr", has_text="training.learning_rate")).to_contain_text("0.003")
        self.page.get_by_label("curve").select_option("learning_rate")
        self.assertIn("metric=learning_rate", self.page.url)
        self.page.reload()
        expect(self.page.locator(".u-legend")).to_contain_text("other-rate")
        expect(self.page.get_by_label("curve")).to_have_value("learning_rate")
        self.page.get_by_label("curve").select_option("loss")
        self.ana.screenshot("compare")
        self.assertEqual(self.ana.axe(), [])

    def test_41_a_model_is_shown_and_tried(self):
        self.ana.go("/models")
        self.ana.screenshot("models")
        self.assertEqual(self.ana.axe(), [])
        self.page.get_by_role("link", name="other-rate").click()
        expect(self.page.locator("#main")).to_contain_text("model.safetensors")
        expect(self.page.locator(".markdown")).to_contain_text("other-rate")
        self.page.get_by_label("texts to try").fill("a library for the GNOME desktop\nfonts for Greek")
        self.page.get_by_role("button", name="Try", exact=True).click()
        expect(self.page.locator(".answer")).to_have_count(2, timeout=40_000)
        expect(self.page.locator(".answer").first.locator(".num").first).to_have_text(
            re.compile(r"\d %"))
        self.ana.screenshot("model", whole=True)
        self.assertEqual(self.ana.axe(), [])

    def test_42_a_hostile_card_is_only_text(self):
        self.page.route("**/files/README.md", lambda route: route.fulfill(
            body=HOSTILE_CARD, content_type="text/markdown"))
        self.page.reload()
        card = self.page.locator(".markdown")
        expect(card).to_contain_text("<script>window.hacked = 1</script>")
        expect(card).not_to_contain_text("front matter")
        expect(card.locator("script, img, iframe, svg, u, style")).to_have_count(0)
        links = card.locator("a").evaluate_all("(all) => all.map((a) => a.getAttribute('href'))")
        self.assertEqual(links, ["https://example.org/a?b=1&c=2"])
        expect(card.locator("td code")).to_have_text("<b>code</b>")
        expect(card.locator("strong")).to_have_text("bold")
        self.assertIsNone(self.page.evaluate("window.hacked ?? null"))
        self.page.unroute("**/files/README.md")

    # ---- people --------------------------------------------------------------------------------

    def test_50_a_token_is_made_used_and_revoked_and_its_page_ends(self):
        self.ana.go("/settings")
        self.page.get_by_role("button", name="New token").click()
        self.page.get_by_label("What it may do").select_option("viewer")
        self.page.get_by_label("Name").fill("for-ben")
        self.page.get_by_label("User").fill("ben")
        self.page.get_by_role("button", name="Make it").click()
        secret = self.page.locator(".secret").inner_text()
        self.assertGreaterEqual(len(secret), 32)
        self.page.get_by_role("button", name="I have it").click()
        self.ana.screenshot("settings")
        self.assertEqual(self.ana.axe(), [])
        ben = self.browser.visitor()
        ben.base = self.ana.base
        ben.page.goto(ben.base + "/ui/")
        ben.page.get_by_label("Or paste a token").fill("not a token at all")
        ben.page.get_by_role("button", name="Sign in").click()
        expect(ben.page.get_by_role("alert")).to_contain_text("token")
        ben.page.get_by_label("Or paste a token").fill(secret)
        ben.page.get_by_role("button", name="Sign in").click()
        ben.is_live()
        expect(ben.page.get_by_role("link", name="New job")).to_have_count(0)
        ben.go("/jobs/my-reviews")
        expect(ben.page.get_by_role("button", name="Cancel")).to_have_count(0)
        self.page.locator("tr", has_text="for-ben").get_by_role("button", name="Revoke").click()
        self.page.get_by_role("button", name="Revoke it").click()
        expect(ben.page.get_by_text("Or paste a token")).to_be_visible(timeout=20_000)
        self.assertEqual(ben.complaints, [])
        ben.close()

    def test_51_other_pages_cannot_use_the_session(self):
        url = self.ana.base + "/api/v1/tokens"
        cookie = "; ".join(f"{c['name']}={c['value']}" for c in self.ana.context.cookies())
        for origin in (None, "http://127.0.0.1:1", "null"):
            headers = {"Authorization": "", "Cookie": cookie}
            if origin:
                headers["Origin"] = origin
            answer = self.ana.context.request.post(
                url, data={"scope": "admin"}, headers={k: v for k, v in headers.items() if v})
            self.assertEqual(answer.status, 403, f"{origin}: {answer.text()}")

    # ---- looks ---------------------------------------------------------------------------------

    def test_52_a_webhook_is_made_tried_and_deleted(self):
        with Receiver() as receiver:
            self.ana.go("/settings")
            self.page.get_by_role("button", name="New webhook").click()
            self.page.get_by_label("Address").fill(receiver.url + "/hook")
            self.page.get_by_label("Name").fill("team channel")
            self.page.get_by_role("dialog").get_by_text("cancelled", exact=True).click()
            self.page.get_by_role("button", name="Make it").click()
            self.assertTrue(self.page.locator(".secret").inner_text().startswith("whsec_"))
            self.page.get_by_role("button", name="I have it").click()
            row = self.page.locator("tr", has_text="team channel")
            expect(row).to_contain_text("succeeded, failed")
            row.get_by_role("button", name="Test").click()
            expect(self.page.get_by_text("It answered 200")).to_be_visible(timeout=20_000)
            self.assertEqual([json.loads(seen.body)["type"] for seen in receiver.seen], ["ping"])
            self.assertEqual(self.ana.axe(), [])
            self.ana.screenshot("webhooks")
            row.get_by_role("button", name="Delete").click()
            self.page.get_by_role("button", name="Delete it").click()
            expect(row).to_have_count(0)

    def test_60_keys(self):
        self.ana.go("/")
        self.page.keyboard.press("?")
        expect(self.page.get_by_role("dialog", name="Keys")).to_be_visible()
        self.ana.screenshot("keys")
        self.page.keyboard.press("Escape")
        expect(self.page.get_by_role("dialog")).to_have_count(0)
        for key, heading in (("j", "Jobs"), ("q", "Queue"), ("c", "Cluster"), ("m", "Models"),
                             ("v", "Compare"), ("s", "Settings"), ("o", "Overview")):
            self.page.keyboard.press("g")
            self.page.keyboard.press(key)
            expect(self.page.get_by_role("heading", level=1)).to_have_text(heading)
        self.page.keyboard.press("/")
        self.page.keyboard.type("my-rev")
        expect(self.page.get_by_role("option")).to_have_count(1)
        self.page.keyboard.press("Enter")
        expect(self.page.get_by_role("heading", level=1)).to_contain_text("my-reviews")
        theme = self.page.evaluate("document.documentElement.dataset.theme")
        self.page.keyboard.press("t")
        self.assertNotEqual(self.page.evaluate("document.documentElement.dataset.theme"), theme)
        self.page.keyboard.press("t")

    def test_61_every_page_in_the_dark_and_on_a_phone(self):
        done = self.cluster.show("my-reviews")
        places = {"overview": "/", "jobs": "/jobs", "job": f"/jobs/{done['id']}",
                  "timeline": f"/jobs/{done['id']}?tab=timeline", "queue": "/queue",
                  "cluster": "/cluster", "compare": f"/compare?jobs={done['id']}", "models": "/models",
                  "model": f"/models/{done['result']['model']}", "new": "/new", "settings": "/settings"}
        for name, options in (("dark", {"color_scheme": "dark"}),
                              ("phone", {"viewport": PHONE, "has_touch": True})):
            visitor = self.browser.visitor(**options)
            visitor.sign_in(self.cluster)
            for place, path in places.items():
                with self.subTest(f"{name} {place}"):
                    visitor.go(path)
                    visitor.screenshot(f"{name}-{place}")
                    self.assertLessEqual(visitor.sideways(), 0)
                    if name == "dark" or place in ("overview", "job", "model", "new"):
                        self.assertEqual(visitor.axe(), [])
            self.assertEqual(visitor.complaints, [])
            self.assertEqual(visitor.strangers(), [])
            visitor.close()


if __name__ == "__main__":
    print(f"screenshots: {SCREENS.relative_to(ROOT) if SCREENS.is_relative_to(ROOT) else SCREENS}")
    unittest.main(verbosity=2, failfast=True)  # later parts look at what earlier ones left
