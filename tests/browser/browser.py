"""Debian's Chromium on a real cluster's dashboard, driven by Playwright (packaging/browser.sh).

A Visitor is one browser profile: its cookies, its theme, one page. It notes what no page may do: errors
on its console, answers of 500, requests to anybody but the coordinator. Every wait has a deadline.
"""

import os
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/system"))

from cluster import ClusterTest  # noqa: E402
from playwright.sync_api import expect, sync_playwright  # noqa: E402

SCREENS = pathlib.Path(os.environ.get("TUTTI_SCREENS", ROOT / "build/screens"))
AXE = (ROOT / "monitoring/dashboard/node_modules/axe-core/axe.min.js").read_text(encoding="utf-8")
CHROMIUM = "/usr/bin/chromium"
PATIENCE_MS = 20_000
# A test's own sandbox is the machine it runs on: Chromium's needs rights that root in a container lacks.
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
             "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
             "--force-color-profile=srgb", "--font-render-hinting=none"]
WIDE = {"width": 1440, "height": 900}
PHONE = {"width": 390, "height": 844}

expect.set_options(timeout=PATIENCE_MS)


class Browser:
    """Chromium, and the visitors that it has."""

    def __enter__(self):
        self.playwright = sync_playwright().start()
        self.chromium = self.playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        SCREENS.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *_):
        self.chromium.close()
        self.playwright.stop()

    def visitor(self, **options):
        options = {"viewport": WIDE, "color_scheme": "light", "locale": "en-GB", **options}
        return Visitor(self.chromium.new_context(**options))


class Visitor:
    def __init__(self, context):
        self.context = context
        self.complaints, self.requests = [], []
        context.set_default_timeout(PATIENCE_MS)
        self.page = context.new_page()
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.complaints.append(f"uncaught: {error}"))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("response", self._answered)

    def _heard(self, message):
        # A refused or cut request is told by the page itself, in words; Chromium repeats it here.
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.complaints.append(f"console: {message.text}")

    def _answered(self, response):
        if response.status >= 500 and response.status not in (503, 507):
            self.complaints.append(f"{response.status} {response.request.method} {response.url}")

    def close(self):
        self.context.close()

    # ---- where ---------------------------------------------------------------------------------

    def sign_in(self, cluster):
        """By the one-use address that `tutti ui --print` gives."""
        url = cluster.run("ui", "--print", check=True).stdout.strip()
        self.base = cluster.endpoint["url"]
        self.page.goto(url)
        expect(self.page.get_by_role("navigation", name="Pages")).to_be_visible()
        self.is_live()
        return url

    def go(self, path):
        """Loads a place of the dashboard anew: "/jobs"."""
        self.page.goto(f"{self.base}/ui{path}")
        expect(self.page.locator("#main")).to_be_visible()
        expect(self.page.locator(".loading")).to_have_count(0)

    def is_live(self):
        expect(self.page.locator(".line")).to_have_class(re.compile(r"\blive\b"))

    # ---- what is there -------------------------------------------------------------------------

    def screenshot(self, name, whole=False):
        self.page.screenshot(path=SCREENS / f"{name}.png", full_page=whole, animations="disabled")

    def axe(self):
        """Accessibility: violations that are serious or critical, as lines."""
        found = self.page.evaluate(
            AXE + "; axe.run(document, {resultTypes: ['violations']}).then((r) => r.violations"
            ".filter((v) => ['serious', 'critical'].includes(v.impact))"
            ".map((v) => `${v.id}: ${v.help}: ${v.nodes.slice(0, 3).map((n) => n.html.slice(0, 200)"
            " + ' ' + (n.any[0]?.message ?? '')).join(' | ')}`))")
        return found

    def sideways(self):
        """By how many pixels the page is wider than the window."""
        return self.page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth")

    def strangers(self):
        """Requests that went to anybody but the coordinator."""
        return [url for url in self.requests
                if not url.startswith((self.base + "/", "data:", "blob:"))]

    def inked(self, selector):
        """How many pixels of the first canvas there have a colour."""
        return self.page.evaluate(
            """(selector) => {
                 const canvas = document.querySelector(selector);
                 if (!canvas) return 0;
                 const {data} = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
                 let inked = 0;
                 for (let i = 3; i < data.length; i += 4) inked += data[i] > 0;
                 return inked;
               }""", selector)


class PageTest(ClusterTest):
    """Tests of one cluster's dashboard as `cls.ana` sees it, signed in. After each, she has nothing to complain of."""

    @classmethod
    def prepare(cls):
        cls.browser = Browser().__enter__()
        cls.ana = cls.browser.visitor()
        cls.url = cls.ana.sign_in(cls.cluster)
        cls.page = cls.ana.page

    @classmethod
    def tearDownClass(cls):
        cls.browser.__exit__()
        super().tearDownClass()

    def tearDown(self):
        self.assertEqual(self.ana.complaints, [])
        self.assertEqual(self.ana.strangers(), [])
