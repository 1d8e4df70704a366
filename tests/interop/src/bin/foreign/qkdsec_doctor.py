"""qkdsec_doctor.py KME-A KME-B CA CERT KEY SLAVE-CERT SLAVE-KEY MASTER SLAVE: `qkdsec doctor`, and what it cannot ask as one SAE, through its client as two."""
import json
import subprocess
import sys
from pathlib import Path

from qkdsec.client.errors import KMEHTTPError
from qkdsec.client.etsi014 import ETSI014Client

a, b, ca, cert, key, slave_cert, slave_key, master, slave = sys.argv[1:]
doctor = Path(sys.executable).with_name("qkdsec")
command = [doctor, "doctor", f"https://{a}", "--slave-sae-id", slave, "--cert", cert, "--key", key, "--ca-cert", ca, "--format", "json"]
done = subprocess.run(command, capture_output=True, text=True)
assert done.stdout.startswith("{"), done.stdout + done.stderr
results = {r["name"]: r for r in json.loads(done.stdout)["results"]}

# ETSI GS QKD 014 V1.1.1 knows 400, 401 and 503; a key that is not there gives 400 and these words.
unknown = results.pop("error_contract_404")
assert unknown["status"] == "warn" and unknown["details"]["http_status"] == 400, unknown
# It asks for the twin as the master that took the key. Only a slave may, so the refusal is right.
twin = results.pop("dec_keys_roundtrip")
assert twin["status"] == "fail" and "HTTP 400: one or more keys specified are not found on KME" in twin["summary"], twin
for name in ["reachability", "status_fields", "enc_keys_get", "enc_keys_post", "enc_keys_caps", "extensions_accepted", "error_contract_400", "latency"]:
    assert results.pop(name)["status"] == "pass", name
assert not results, results

alice = ETSI014Client(f"https://{a}", client_cert=(cert, key), verify=ca)
bob = ETSI014Client(f"https://{b}", client_cert=(slave_cert, slave_key), verify=ca)
taken = alice.get_enc_keys(slave, number=2, size=256)
twins = bob.get_dec_keys(master, key_ids=[k.key_id for k in taken])
assert [(k.key_id, k.key) for k in twins] == [(k.key_id, k.key) for k in taken], "the twins differ"
try:
    bob.get_dec_keys(master, key_ids=[taken[0].key_id])
    raise SystemExit("a key came twice")
except KMEHTTPError as error:
    assert error.status_code == 400, error
