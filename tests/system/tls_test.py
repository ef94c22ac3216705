"""A cluster that serves other machines: TLS, pins, and tokens that do what their scope may."""

import glob
import hashlib
import json
import os
import pathlib
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import unittest

from cluster import Cluster, sections_spec, wait_for


def other_address():
    """An address of this machine that is none of its loopback's usual ones."""
    listed = subprocess.run(["hostname", "-I"], capture_output=True, text=True).stdout.split()
    return next((a for a in listed if ":" not in a), "127.0.0.2")


ADDRESS = other_address()


def pem_digest(path):
    der = ssl.PEM_cert_to_DER_cert(pathlib.Path(path).read_text())
    return "sha256:" + hashlib.sha256(der).hexdigest()


class Elsewhere:
    """The command line as somebody uses it who has an address, a token and perhaps a pin."""

    def __init__(self, cluster, token, **env):
        self.cluster = cluster
        port = cluster.endpoint["url"].rsplit(":", 1)[1]
        self.home = tempfile.mkdtemp(dir=cluster.dir)
        self.env = {"TUTTI_DATA_DIR": self.home, "TUTTI_URL": f"https://{ADDRESS}:{port}",
                    "TUTTI_TOKEN": token, **env}

    def run(self, *words, **env):
        return self.cluster.run(*words, env={**self.env, **env})


def every_log(cluster):
    return "".join(p.read_text(errors="replace") for p in (cluster.dir / "logs").glob("*"))


def every_command_line():
    text = b""
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            text += pathlib.Path(path).read_bytes()
        except OSError:
            pass
    return text.decode(errors="replace")


class Tls(unittest.TestCase):
    def test_a_cluster_for_other_machines_is_used_by_pin_or_authority(self):
        with Cluster(slots=2, http="0.0.0.0:0", extra=["--advertise", ADDRESS]) as cluster:
            pin = cluster.endpoint["pin"]
            certificate = cluster.dir / "coordinator/tls/cert.pem"
            self.assertEqual(pin, pem_digest(certificate))
            self.assertEqual((cluster.dir / "coordinator/tls/key.pem").stat().st_mode & 0o777, 0o600)
            self.assertEqual(cluster.endpoint["advertise"], ADDRESS)
            token = (cluster.dir / "token").read_text().strip()

            # Everything of a job's life over TLS: inputs up, blobs to and from the worker, export.
            pinned = Elsewhere(cluster, token, TUTTI_PIN=pin)
            spec = cluster.dir / "remote.json"
            spec.write_text(json.dumps(sections_spec("remote", max_steps=4)))
            followed = pinned.run("submit", spec, "--follow", "-q")
            self.assertEqual(followed.returncode, 0, followed.stderr)
            out = cluster.dir / "exported"
            self.assertEqual(pinned.run("model", "export", "remote", out).returncode, 0)
            self.assertTrue((out / "model.safetensors").stat().st_size > 0)

            # The same by authority; nothing without either; and not with another's pin.
            unpinned = Elsewhere(cluster, token)
            self.assertEqual(unpinned.run("ps", TUTTI_CA_FILE=str(certificate)).returncode, 0)
            refused = unpinned.run("ps")
            self.assertEqual(refused.returncode, 4, refused.stderr)
            self.assertIn("TUTTI_PIN", refused.stderr)
            wrong = "sha256:" + "0" * 64
            refused = pinned.run("ps", "--pin", wrong)
            self.assertEqual(refused.returncode, 4, refused.stderr)
            self.assertIn(pin, refused.stderr)
            self.assertIn(wrong, refused.stderr)
            plain = pinned.run("ps", TUTTI_URL=pinned.env["TUTTI_URL"].replace("https", "http"))
            self.assertEqual(plain.returncode, 3, plain.stderr)
            self.assertIn("in the clear", plain.stderr)

    def test_other_clients_verify_it_and_plain_http_is_told(self):
        with Cluster(slots=1, http="0.0.0.0:0", extra=["--advertise", ADDRESS]) as cluster:
            port = cluster.endpoint["url"].rsplit(":", 1)[1]
            certificate = str(cluster.dir / "coordinator/tls/cert.pem")
            curl = ["curl", "-sS", "--max-time", "20"]
            for host in (ADDRESS, "127.0.0.1", "localhost", socket.gethostname()):
                got = subprocess.run(
                    [*curl, "--cacert", certificate, "--resolve", f"{socket.gethostname()}:{port}:127.0.0.1",
                     f"https://{host}:{port}/healthz"], capture_output=True, text=True)
                self.assertEqual(got.returncode, 0, f"{host}: {got.stderr}")
                self.assertEqual(json.loads(got.stdout)["status"], "ok")
            got = subprocess.run([*curl, f"https://{ADDRESS}:{port}/healthz"], capture_output=True, text=True)
            self.assertEqual(got.returncode, 60, got.stderr)  # a certificate that nobody vouches for
            got = subprocess.run([*curl, "-w", "%{http_code}", f"http://{ADDRESS}:{port}/healthz"],
                                 capture_output=True, text=True)
            self.assertTrue(got.stdout.endswith("400"), got.stdout)
            self.assertIn("speaks HTTPS", got.stdout)
            got = subprocess.run(
                [*curl, "-w", "%{http_code}", "-k", "-H", "Host: evil.example",
                 f"https://{ADDRESS}:{port}/healthz"], capture_output=True, text=True)
            self.assertTrue(got.stdout.endswith("403"), got.stdout)

    def test_the_certificate_outlives_the_coordinator(self):
        with Cluster(slots=1, extra=["--tls"]) as cluster:
            before = cluster.endpoint
            self.assertTrue(before["url"].startswith("https://127.0.0.1:"), before)
            os.kill(before["coordinator_pid"], signal.SIGKILL)

            def again():
                try:
                    now = json.loads((cluster.dir / "endpoint.json").read_text())
                except OSError:
                    return None
                return now if now["coordinator_pid"] != before["coordinator_pid"] else None
            after = wait_for("the coordinator to return", again, 20)
            self.assertEqual((after["url"], after["pin"]), (before["url"], before["pin"]))
            cluster.endpoint = after
            self.assertEqual(cluster.run("ps").returncode, 0)

    def test_an_own_certificate_is_used_and_a_wrong_one_refused(self):
        own = tempfile.mkdtemp(prefix="tutti-own-")
        self.addCleanup(shutil.rmtree, own)
        with Cluster(slots=1, extra=["--tls"]) as maker:
            for name in ("cert.pem", "key.pem"):
                shutil.copy(maker.dir / "coordinator/tls" / name, own)
            expected = maker.endpoint["pin"]
        words = ["--tls-cert", f"{own}/cert.pem", "--tls-key", f"{own}/key.pem"]
        with Cluster(slots=1, extra=words) as cluster:
            self.assertEqual(cluster.endpoint["pin"], expected)
            self.assertFalse((cluster.dir / "coordinator/tls").exists())
            self.assertEqual(cluster.run("ps").returncode, 0)
        pathlib.Path(own, "key.pem").chmod(0o644)
        cluster = Cluster(slots=1, extra=words)
        self.addCleanup(shutil.rmtree, cluster.dir)
        refused = cluster.run("up", "--detach", "--http", "127.0.0.1:0", *words)
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("everybody may read this secret key", refused.stderr)
        self.assertFalse(cluster.ours())


class Tokens(unittest.TestCase):
    def test_each_scope_does_what_it_may_and_nothing_else(self):
        with Cluster(slots=1, http="0.0.0.0:0", extra=["--advertise", ADDRESS]) as cluster:
            pin = cluster.endpoint["pin"]
            made = {}
            for scope, user in (("viewer", "vi"), ("submitter", "ana"), ("admin", "ada")):
                created = cluster.run("token", "create", "--scope", scope, "--user", user, "--name",
                                      f"{user}'s", check=True)
                made[user] = created.stdout.strip()
                self.assertNotIn(made[user], created.stderr)
            vi, ana, ada = (Elsewhere(cluster, made[user], TUTTI_PIN=pin) for user in ("vi", "ana", "ada"))

            spec = cluster.dir / "locals.json"
            spec.write_text(json.dumps(sections_spec("locals", max_steps=2)))
            cluster.run("submit", spec, "--hold", check=True)
            spec = cluster.dir / "hers.json"
            spec.write_text(json.dumps(sections_spec("hers", max_steps=2)))

            self.assertEqual(vi.run("ps").returncode, 0)
            self.assertEqual(vi.run("submit", spec).returncode, 4)
            denied = vi.run("cancel", "locals")
            self.assertEqual(denied.returncode, 4)
            self.assertIn("--scope submitter", denied.stderr)
            self.assertEqual(vi.run("token", "list").returncode, 4)

            submitted = ana.run("submit", spec, "--hold", "--json")
            self.assertEqual(submitted.returncode, 0, submitted.stderr)
            self.assertEqual(json.loads(submitted.stdout)["user"], "ana")
            denied = ana.run("cancel", "locals")
            self.assertEqual(denied.returncode, 4)
            self.assertIn("local's", denied.stderr)
            self.assertEqual(ana.run("cancel", "hers").returncode, 0)
            self.assertEqual(ana.run("token", "create").returncode, 4)

            self.assertEqual(ada.run("cancel", "locals").returncode, 0)
            listed = json.loads(ada.run("token", "list", "--json").stdout)["data"]
            self.assertEqual([t["user"] for t in listed], ["vi", "ana", "ada"])
            self.assertTrue(all(t["last_used_at"] for t in listed), listed)

            # Revoked at once, by name; and an expired one ends by itself.
            self.assertEqual(ada.run("token", "revoke", "ana's").returncode, 0)
            self.assertEqual(ana.run("ps").returncode, 4)
            short = cluster.run("token", "create", "--expires", "1ms", check=True).stdout.strip()
            expired = Elsewhere(cluster, short, TUTTI_PIN=pin).run("ps")
            self.assertEqual(expired.returncode, 4)
            self.assertIn("expired", expired.stderr)

            self.assert_secrets_are_nowhere(cluster, [*made.values(), short])

    def assert_secrets_are_nowhere(self, cluster, tokens):
        key = (cluster.dir / "coordinator/tls/key.pem").read_text().splitlines()[1]
        secrets = [*tokens, (cluster.dir / "token").read_text().strip(), key,
                   (cluster.dir / "coordinator/curve.key").read_text().strip()]
        logs, lines = every_log(cluster), every_command_line()
        database = b"".join(p.read_bytes() for p in (cluster.dir / "coordinator").glob("state.db*"))
        self.assertIn("token_created", logs)  # the logs are those that would have them
        self.assertIn(str(cluster.dir), lines)
        self.assertIn(b"ada's", database)
        for secret in secrets:
            self.assertGreater(len(secret), 30)
            self.assertNotIn(secret, logs)
            self.assertNotIn(secret, lines)
            self.assertNotIn(secret.encode(), database)


if __name__ == "__main__":
    unittest.main(verbosity=2)
