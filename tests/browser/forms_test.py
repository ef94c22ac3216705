"""What people fill in, in Debian's Chromium on a real cluster: new jobs of every kind of data, and how the
cluster is shared. Screenshots go to build/screens.
"""

import csv
import json
import re
import shutil
import unittest

from browser import PHONE, PageTest, expect
from cluster import EXAMPLES, Cluster, wait_for

ROWS = 48  # enough for a few steps


def rows_of(name):
    lines = (EXAMPLES / "data" / name).read_text(encoding="utf-8").splitlines()[:ROWS]
    return [json.loads(line) for line in lines]


class Forms(PageTest):
    @classmethod
    def start(cls):
        return Cluster(workers=1, slots=2)

    # ---- steps ---------------------------------------------------------------------------------

    def begin(self):
        """A form as it first comes."""
        self.page.evaluate("sessionStorage.clear()")
        self.ana.go("/new")

    def lines(self, name, rows):
        path = self.cluster.dir / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return path

    def give(self, path):
        self.page.get_by_label("training data").set_input_files(path)
        expect(self.page.locator(".preview")).to_be_visible()

    def choose_model(self, name):
        self.page.locator("input[aria-label=\"a model's folder\"]").set_input_files(EXAMPLES / "models" / name)
        expect(self.page.locator("#spec")).to_have_value(re.compile(f"model: {name}"))

    def fill(self, label, value, within="#main"):
        field = self.page.locator(within).get_by_label(label)
        field.fill(value)
        field.press("Tab")

    def ask(self, **values):
        """Fills in the open dialog: weight="2" is the field "Weight"."""
        for name, value in values.items():
            self.fill(name.replace("_", " ").capitalize(), value, within="dialog")

    def spec_has(self, *lines):
        for line in lines:
            expect(self.page.locator("#spec")).to_have_value(re.compile(re.escape(line)))

    def is_ready(self):
        expect(self.page.get_by_text("ready to start")).to_be_visible()

    def estimate(self):
        self.is_ready()
        self.page.get_by_role("button", name="Estimate").click()
        expect(self.page.locator(".panel", has_text="Memory per rank").last).to_contain_text("MiB", timeout=60_000)

    def marked(self, example):
        """What the model learns to write of one of the shown rows."""
        return "|".join(self.page.locator(".example").nth(example).locator("mark").all_inner_texts())

    def start_and_finish(self, name):
        self.page.get_by_role("button", name="Start").click()
        expect(self.page.get_by_role("heading", name=name)).to_be_visible()
        expect(self.page.locator("h1 .badge")).to_have_text("succeeded", timeout=120_000)
        return self.cluster.http("GET", f"/api/v1/jobs/{self.cluster.show(name)['id']}/spec")

    # ---- new jobs ------------------------------------------------------------------------------

    def test_10_conversations_teach_a_small_adapter(self):
        self.begin()
        self.give(self.lines("our-chats.jsonl", rows_of("chat.train.jsonl")))
        expect(self.page.locator(".preview")).to_contain_text("JSON Lines with 1 column; each row is a conversation")
        expect(self.page.get_by_label("write texts")).to_be_checked()
        expect(self.page.locator(".talks li").first).to_contain_text("What is scummvm?")
        expect(self.page.locator(".talks .learnt").first).to_contain_text("assistant")
        self.choose_model("llama-tiny")
        self.page.get_by_text("a small adapter").click()
        self.spec_has("name: our-chats", "task: text-generation", "format: chat", "lora: {r: 16, lora_alpha: 32}",
                      "learning_rate: 2.0e-4")
        self.fill("Adapter's rank", "4")
        self.fill("Epochs", "1")
        self.spec_has("lora: {r: 4, lora_alpha: 32}")
        self.estimate()
        expect(self.page.locator(".example")).to_have_count(3)
        self.assertIn("scummvm: engine for several graphical adventure games.", self.marked(0))
        self.assertNotIn("What is scummvm?", self.marked(0))
        self.assertNotIn("You know the Debian archive.", self.marked(0))
        self.ana.screenshot("new-chat", whole=True)
        self.assertEqual(self.ana.axe(), [])
        spec = self.start_and_finish("our-chats")
        self.assertEqual(spec["method"]["lora"]["r"], 4)
        self.assertEqual(spec["data"]["format"], "chat")

    def test_11_questions_and_answers_of_a_spreadsheet(self):
        path = self.cluster.dir / "faq.csv"
        with open(path, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["id", "Question", "Our reply"])
            for i, row in enumerate(rows_of("describe.train.jsonl")):
                writer.writerow([i, row["prompt"], row["completion"]])
        self.begin()
        self.page.get_by_text("write texts", exact=True).click()
        self.give(path)
        expect(self.page.get_by_label("Each row is")).to_have_value("")
        expect(self.page.locator(".preview .notice")).to_contain_text("id, Question, Our reply")
        self.page.get_by_label("Each row is").select_option("prompt-completion")
        expect(self.page.get_by_label("Prompt is in")).to_have_value("Question")
        self.page.get_by_label("Its answer is in").select_option("Our reply")
        expect(self.page.locator(".talks .asked").first).to_contain_text("Package: scummvm")
        self.choose_model("gpt2-tiny")
        self.fill("Epochs", "1")
        self.spec_has("prompt: Question", "completion: Our reply")
        self.estimate()
        self.assertIn("engine for several graphical adventure games", self.marked(0))
        self.assertNotIn("Package: scummvm", self.marked(0))
        spec = self.start_and_finish("faq")
        self.assertEqual(spec["data"]["columns"], {"prompt": "Question", "completion": "Our reply"})

    def test_12_preferences(self):
        pairs = [{"prompt": row["messages"][1]["content"], "chosen": row["messages"][2]["content"],
                  "rejected": "I do not know."} for row in rows_of("chat.train.jsonl")]
        self.begin()
        self.give(self.lines("better.jsonl", pairs))
        expect(self.page.get_by_label("prefer better answers")).to_be_checked()
        expect(self.page.locator(".talks .refused").first).to_contain_text("I do not know.")
        self.choose_model("llama-tiny")
        self.fill("Epochs", "1")
        self.spec_has("format: preference", "dpo: {beta: 0.1}", "learning_rate: 5.0e-6")
        self.page.get_by_text("a small adapter").click()
        self.spec_has("beta: 0.1\n    lora: {r: 16, lora_alpha: 32}", "learning_rate: 2.0e-5")
        self.estimate()
        expect(self.page.locator(".example").nth(1)).to_contain_text("Row 1, worse")
        self.assertIn("I do not know.", self.marked(1))
        self.ana.screenshot("new-preferences", whole=True)
        self.assertEqual(self.ana.axe(), [])
        spec = self.start_and_finish("better")
        self.assertEqual(spec["method"]["dpo"]["lora"]["r"], 16)

    def test_13_what_is_chosen_first_stays_a_spec(self):
        """Each goal and each way to train, without data: the spec beside it has no other problem than what is missing."""
        self.begin()
        self.choose_model("llama-tiny")
        for goal in ("prefer better answers", "sort texts into classes", "write texts"):
            for how in ("a small adapter (LoRA)", "all of it"):
                with self.subTest(f"{goal}, {how}"):
                    self.page.get_by_text(goal, exact=True).click()
                    self.page.get_by_text(how, exact=True).click()
                    expect(self.page.get_by_text("1 problem")).to_be_visible()
                    expect(self.page.locator(".problems li")).to_contain_text("data.train")
        self.page.get_by_label("Pack short rows together").check()
        self.page.get_by_label("Learn prompts and questions").check()
        self.spec_has("packing: true", "train_on_inputs: true")
        self.page.get_by_text("sort texts into classes", exact=True).click()
        expect(self.page.locator("#spec")).not_to_have_value(re.compile("packing|train_on_inputs|method"))

    def test_14_files_that_are_nearly_right(self):
        self.begin()
        array = self.cluster.dir / "list.json"
        array.write_text(json.dumps(rows_of("chat.train.jsonl")[:3], indent=1))
        self.give(array)
        self.spec_has("train: list.jsonl")
        expect(self.page.locator(".talks li")).to_have_count(2)
        semicolons = self.cluster.dir / "german.csv"
        semicolons.write_text("text;label\nGut;ja\n")
        self.give(semicolons)
        expect(self.page.locator(".preview .bad")).to_contain_text("commas")

    def test_15_a_bad_row_is_named_before_anything_runs(self):
        rows = rows_of("chat.train.jsonl")[:4]
        rows[2]["messages"][1].pop("role")
        self.begin()
        self.give(self.lines("broken.jsonl", rows))
        self.choose_model("llama-tiny")
        self.is_ready()
        self.page.get_by_role("button", name="Estimate").click()
        notice = self.page.locator("#main > .notice.bad")
        expect(notice).to_contain_text("broken.jsonl:3", timeout=60_000)
        expect(notice).to_contain_text("message 2 has no role")

    def test_16_nothing_starts_from_a_spec_that_is_not_checked_yet(self):
        held = []
        self.begin()
        self.give(self.lines("held.jsonl", rows_of("chat.train.jsonl")))
        self.choose_model("llama-tiny")
        self.is_ready()
        self.page.route("**/api/v1/specs/check", lambda route: held.append(route))
        self.fill("Epochs", "2")
        expect(self.page.get_by_text("checking…")).to_be_visible()
        expect(self.page.get_by_role("button", name="Start")).to_be_disabled()
        expect(self.page.get_by_role("button", name="Estimate")).to_be_disabled()
        wait_for("the check to be asked for", lambda: self.page.wait_for_timeout(20) or held, 10)
        held[-1].continue_()
        self.is_ready()
        self.page.unroute("**/api/v1/specs/check")

    def test_17_a_text_model_is_trained_on_from_its_page(self):
        model = self.cluster.show("faq")["result"]["model"]
        self.ana.go(f"/models/{model}")
        self.page.get_by_role("link", name="Train on from it").click()
        expect(self.page.get_by_label("write texts")).to_be_checked()
        self.spec_has("task: text-generation", f"model: {model}")

    def test_18_a_text_model_is_tried_and_its_answer_comes_as_a_stream(self):
        self.ana.go(f"/models/{self.cluster.show('our-chats')['result']['model']}")
        self.page.evaluate("""
          window.seen = [];
          new MutationObserver(() => {
            const text = document.querySelector('.written mark')?.textContent ?? '';
            if (text !== window.seen.at(-1)) window.seen.push(text);
          }).observe(document.querySelector('form.try'), {childList: true, subtree: true, characterData: true});""")
        self.page.get_by_label("texts to try").fill("Package: scummvm")
        with self.page.expect_response("**/try") as answer:
            self.page.get_by_role("button", name="Try", exact=True).click()
        self.assertEqual(answer.value.headers["content-type"], "text/event-stream")
        expect(self.page.get_by_role("button", name="Try", exact=True)).to_be_enabled()
        seen = [text for text in self.page.evaluate("window.seen") if text]
        # How many pieces a read of the network brings is up to the machine.
        self.assertTrue(seen and all(b.startswith(a) for a, b in zip(seen, seen[1:])), seen)
        expect(self.page.locator(".written")).to_have_text("Package: scummvm" + seen[-1])
        self.ana.screenshot("model-writes")

    def test_19_an_adapters_folder_is_trained_further(self):
        folder = self.cluster.dir / "our-adapter"
        self.cluster.run("model", "export", "our-chats", folder, check=True)
        choose = self.page.locator("input[aria-label=\"a model's folder\"]")
        self.begin()
        self.give(self.lines("more-chats.jsonl", rows_of("chat.train.jsonl")[:40]))
        choose.set_input_files(folder / "base")
        expect(self.page.locator("#spec")).to_have_value(re.compile("model: base"))  # a whole model
        choose.set_input_files(folder)
        expect(self.page.locator("#spec")).to_have_value(re.compile("model: our-adapter"))
        self.page.get_by_text("a small adapter").click()
        self.fill("Adapter's rank", "4")
        self.fill("Epochs", "1")
        self.estimate()
        spec = self.start_and_finish("more-chats")
        self.assertIn("base/model.safetensors", [file["path"] for file in spec["inputs"]["model"]])
        self.assertIn("tokenizer.json", [file["path"] for file in spec["inputs"]["model"]])
        shutil.rmtree(folder / "base")
        self.begin()
        choose.set_input_files(folder)
        expect(self.page.get_by_text("its base in base/")).to_be_visible()

    def test_19_what_is_filled_in_while_a_model_goes_up_stays(self):
        held, may_go = [], []

        def hold(route):
            route.continue_() if may_go else held.append(route)

        self.begin()
        self.give(self.lines("our-chats.jsonl", rows_of("chat.train.jsonl")))
        self.page.route("**/api/v1/blobs", hold)
        self.page.locator("input[aria-label=\"a model's folder\"]").set_input_files(EXAMPLES / "models/llama-tiny")
        expect(self.page.get_by_text(re.compile("^Uploading .*…"))).to_be_visible()
        self.fill("Epochs", "7")
        self.page.get_by_text("a small adapter").click()
        self.spec_has("num_train_epochs: 7", "lora: {r: 16, lora_alpha: 32}", 'model: ""')
        may_go.append(True)
        for upload in held:
            upload.continue_()
        self.spec_has("model: llama-tiny", "num_train_epochs: 7", "lora: {r: 16, lora_alpha: 32}", "name: our-chats")
        self.page.unroute("**/api/v1/blobs")
        self.is_ready()

    # ---- how the cluster is shared -------------------------------------------------------------

    def row(self, queue):
        return self.page.locator("tr", has=self.page.get_by_role("rowheader", name=queue, exact=True))

    def queue(self, name):
        rows = {each["name"]: each for each in self.cluster.http("GET", "/api/v1/queues")["data"]}
        return rows.get(name)

    def test_20_a_queue_is_made_and_changed(self):
        self.ana.go("/queue")
        self.page.get_by_role("button", name="New queue").click()
        self.ask(name="research", weight="2.5", slots_of_its_own="1")
        self.ana.screenshot("queue-new")
        self.assertEqual(self.ana.axe(), [])
        self.page.get_by_role("button", name="Make it").click()
        expect(self.row("research")).to_contain_text("2.5")
        made = self.queue("research")
        self.assertEqual((made["weight"], made["slots"], made["slots_max"], made["user_slots"]), (2.5, 1, None, None))
        self.row("research").get_by_role("button", name="Change").click()
        self.ask(weight="3", slots_of_its_own="", slots_at_most="2", slots_a_user_at_most="1", gpus_at_most="4")
        self.page.get_by_role("button", name="Change it").click()
        expect(self.page.get_by_text("Queue research is changed")).to_be_visible()
        made = self.queue("research")
        self.assertEqual((made["weight"], made["slots"], made["slots_max"], made["user_slots"]), (3, 0, 2, 1))
        self.assertEqual((made["gpus"], made["gpus_max"], made["user_gpus"]), (0, 4, None))

    def test_21_a_queue_in_a_queue_and_one_that_cannot_be(self):
        self.ana.go("/queue")
        self.page.get_by_role("button", name="New queue").click()
        self.ask(name="nlp")
        self.page.get_by_label("Part of").select_option("research")
        self.page.get_by_role("button", name="Make it").click()
        expect(self.row("nlp")).to_contain_text("research")
        self.row("research").get_by_role("button", name="Change").click()
        self.page.get_by_label("Part of").select_option("nlp")
        self.page.get_by_role("button", name="Change it").click()
        expect(self.page.get_by_role("dialog").get_by_role("alert")).to_be_visible()
        self.page.get_by_role("button", name="Leave it").click()
        self.assertIsNone(self.queue("research")["parent"])
        self.ana.screenshot("queue-sharing")
        self.assertEqual(self.ana.axe(), [])

    def test_22_the_policy_changes_while_everything_runs(self):
        self.ana.go("/queue")
        self.page.get_by_label("Who goes first").select_option("fair")
        expect(self.page.get_by_text("The policy is fair now")).to_be_visible()
        self.assertEqual(self.cluster.http("GET", "/api/v1/queues")["policy"], "fair")
        self.page.get_by_label("Who goes first").select_option("fifo")
        expect(self.page.get_by_text("The policy is fifo now")).to_be_visible()

    def test_23_others_see_it_and_change_nothing(self):
        secret = self.cluster.run("token", "create", "--scope", "submitter", "--user", "ben", "-q", check=True).stdout
        ben = self.browser.visitor(viewport=PHONE, color_scheme="dark", has_touch=True)
        ben.base = self.ana.base
        ben.page.goto(ben.base + "/ui/")
        ben.page.get_by_label("Or paste a token").fill(secret.strip())
        ben.page.get_by_role("button", name="Sign in").click()
        ben.is_live()
        ben.go("/queue")
        expect(ben.page.get_by_role("rowheader", name="research")).to_be_visible()
        expect(ben.page.get_by_role("button", name="New queue")).to_have_count(0)
        expect(ben.page.get_by_label("Who goes first")).to_have_count(0)
        self.assertLessEqual(ben.sideways(), 0)
        self.assertEqual(ben.axe(), [])
        ben.screenshot("phone-queue-sharing")
        ben.go("/new")
        expect(ben.page.get_by_text("The model shall")).to_be_visible()
        self.assertLessEqual(ben.sideways(), 0)
        self.assertEqual(ben.axe(), [])
        self.assertEqual(ben.complaints, [])
        ben.close()


if __name__ == "__main__":
    unittest.main(verbosity=2, failfast=True)  # later parts look at what earlier ones left
