"""etsi014.py KME-A KME-B CA CERT KEY SLAVE-CERT SLAVE-KEY MASTER SLAVE: keys and their twins by etsi-qkd-014-client."""
import sys

from etsi_qkd_014_client import QKD014Client
a, b, ca, cert, key, slave_cert, slave_key, master, slave = sys.argv[1:]
alice, bob = QKD014Client(a, cert, key, ca), QKD014Client(b, slave_cert, slave_key, ca)
code, status = alice.get_status(slave)
assert code == 200, ("status", code)
assert status.key_size == 256 and status.master_sae_id == master and status.slave_sae_id == slave, vars(status)
code, taken = alice.get_key(slave, 3, 512)
assert code == 200 and len(taken.keys) == 3, ("enc_keys", code)
ids = [k.key_id for k in taken.keys]
code, twins = bob.get_key_with_key_IDs(master, ids)
assert code == 200, ("dec_keys", code)
assert [(k.key_id, k.key) for k in twins.keys] == [(k.key_id, k.key) for k in taken.keys], "the twins differ"
code, again = bob.get_key_with_key_IDs(master, ids)
assert code == 400, ("second dec_keys", code)
code, one = alice.get_key(slave)
assert code == 200 and len(one.keys) == 1, ("enc_keys by GET", code)
try:
    code, _ = alice.get_key_with_key_IDs(master, [one.keys[0].key_id])
except ValueError:
    code = 401  # the standard gives 401 no body, and this client wants to read one
assert code in (400, 401), ("dec_keys by the master itself", code)
code, bad = alice.get_key(slave, 1, 129)
assert code == 400, ("a size of 129 bits", code)
print("ok")
