"""agents.py FAMILY USER AUTH-PASSWORD PRIV-PASSWORD OFFICER-PASSWORD HOST:PORT...: the agents of a device or a pair by pysnmp, over SNMPv3 with SHA-256 and AES."""
import asyncio
import sys

from pysnmp.hlapi.v3arch.asyncio import (
    ContextData,
    ObjectIdentity,
    ObjectType,
    SnmpEngine,
    UdpTransportTarget,
    UsmUserData,
    bulk_walk_cmd,
    get_cmd,
    set_cmd,
    usmAesCfb128Protocol,
    usmHMAC192SHA256AuthProtocol,
    walk_cmd,
)
from pysnmp.proto.rfc1902 import Integer32, OctetString, Unsigned32
from pysnmp.proto.rfc1905 import NoSuchInstance

family, user, auth, privacy, officer, *addresses = sys.argv[1:]
SECRET = "5aa1c0de00112233445566778899aabbccddeeff0123456789abcdef5aa1c0de"
CKN = "".join(f"{n:02x}" for n in range(32))
DESCR, UPTIME, CONTACT = (f"1.3.6.1.2.1.1.{n}.0" for n in (1, 3, 4))
PSK = "1.3.6.1.4.1.6527.3.1.2.114.2.4.1.{}.3.99.97.49.1"
APS = "1.3.6.1.4.1.4515.1.11.1.1.1.{}.1294848"
HE = "1.3.6.1.4.1.5591.1.11.1.4.1.1.1.1.{}.1"
OLP = "1.3.6.1.4.1.40989.10.16.2.3.{}.0"
POLATIS = "1.3.6.1.4.1.26592.2.{}"
R7 = "1.3.6.1.4.1.2544.1.11.5.1.{}"
GUARD = "1.3.6.1.4.1.2544.1.12.36.{}"
CIENA = "1.3.6.1.4.1.1271.3.4.23.{}.48.0"
XTM = "1.3.6.1.4.1.8708.2.73.2.{}.1"
OFFICER = {"adva-r7": R7.format("2.1.0"), "adva-fsp150": GUARD.format("1.9.1.0")}
# A SET in one PDU, whose values are read back.
CHANGES = {
    "packetlight": [
        ("1.3.6.1.4.1.4515.1.3.24.4.1.1.5.1295104", OctetString(SECRET)),
        (CONTACT, OctetString("noc@example")),
        (APS.format(10), Unsigned32(7)),
        (APS.format(17), Integer32(2)),
    ],
    "nokia": [(PSK.format(3), Integer32(4)), (PSK.format(4), Integer32(2)), (PSK.format(5), OctetString(SECRET)), (PSK.format(6), OctetString(CKN))],
    "adva-r7": [
        (OFFICER["adva-r7"], OctetString(officer)),
        (R7.format("3.12.1.2.268503362"), OctetString(SECRET)),
        (R7.format("3.12.1.3.268503362"), Integer32(2)),
        (CONTACT, OctetString("noc@example")),
    ],
    "adva-fsp150": [
        (OFFICER["adva-fsp150"], OctetString(officer)),
        (GUARD.format("1.2.1.5.1"), OctetString(SECRET)),
        (GUARD.format("1.1.1.18.1.1"), Integer32(30)),
        (CONTACT, OctetString("noc@example")),
    ],
    "ciena": [(CIENA.format("4.1.2"), OctetString(SECRET)), (CIENA.format("4.1.5"), OctetString("pysnmp")), (CIENA.format("5.1.2"), Unsigned32(2))],
    "infinera": [(XTM.format("3.1.1.7"), OctetString(SECRET)), (XTM.format("4.1.1.10"), Integer32(2)), (XTM.format("4.1.1.11"), Unsigned32(60))],
    "ieee": [(CONTACT, OctetString("noc@example"))],
    "atmedia": [(CONTACT, OctetString("noc@example"))],
    "scte-ab": [(HE.format(1), Integer32(2)), (HE.format(2), Integer32(2)), (HE.format(9), Integer32(300))],
    "scte-2x2": [(HE.format(1), Integer32(2)), (HE.format(2), Integer32(3)), (HE.format(3), Integer32(2))],
    "fs-olp": [(OLP.format(8), Integer32(0)), (OLP.format(9), Integer32(2)), (OLP.format(11), Integer32(-3000))],
    "polatis": [
        (POLATIS.format("2.2.1.2.1.2.1"), Unsigned32(17)),
        (POLATIS.format("4.2.1.1.1.1.17"), Integer32(-10000)),
        (POLATIS.format("4.2.1.1.1.4.17"), Integer32(2)),
        (POLATIS.format("5.2.1.2.1.3.1.2"), Integer32(4)),
    ],
}
# What moves with it.
FOLLOWS = {
    "packetlight": (APS.format(20), 6),
    "scte-ab": (HE.format(4), 2),
    "scte-2x2": (HE.format(4), 3),
    "polatis": (POLATIS.format("2.2.1.2.1.2.17"), 1),
    # The result of the officer's password.
    "adva-r7": (R7.format("2.2.0"), 1),
    # A key is set.
    "ciena": (CIENA.format("4.1.4"), 1),
}
# What must never be read, and what nobody may write.
KEY = {"packetlight": CHANGES["packetlight"][0][0], "nokia": PSK.format(5), "ciena": CIENA.format("4.1.2"), "infinera": XTM.format("3.1.1.7")}
# What reads as empty, and what has no instance.
EMPTY = {*KEY.values(), OFFICER["adva-fsp150"], GUARD.format("1.2.1.5.1")}
WITHOUT_INSTANCE = {OFFICER["adva-r7"], R7.format("3.12.1.2.268503362")}
# Whose users are checked as those of the others.
SAME_SERVER = {"adva-r7", "adva-fsp150", "ciena", "infinera", "ieee", "atmedia"}
# Where a walk begins.
ROOT = "1.0" if family == "ieee" else "1.3.6.1"
READ_ONLY = {
    "packetlight": "1.3.6.1.4.1.4515.1.3.24.4.1.1.3.1295104",
    "nokia": PSK.format(2),
    "scte-ab": HE.format(4),
    "scte-2x2": HE.format(4),
    "fs-olp": OLP.format(19),
    "polatis": POLATIS.format("2.2.1.2.1.3.1"),
    "adva-r7": R7.format("3.13.1.3.268503362"),
    "adva-fsp150": GUARD.format("1.1.1.5.1.1"),
    "ciena": CIENA.format("3.1.2"),
    "infinera": XTM.format("3.1.1.9"),
    "ieee": "1.0.8802.1.1.3.1.1.1.1.5.101",
    "atmedia": "1.3.6.1.4.1.13458.1.4.2.2.1.2.1",
}
# RowStatus createAndGo (4) reads as active (1).
ROWS = {PSK.format(3), POLATIS.format("5.2.1.2.1.3.1.2")}


class Agent:
    def __init__(self, target, auth=auth, privacy=privacy):
        # An engine of its own: pysnmp keeps users and engines by name.
        data = UsmUserData(user, auth, privacy, authProtocol=usmHMAC192SHA256AuthProtocol, privProtocol=usmAesCfb128Protocol)
        self.with_ = (SnmpEngine(), data, target, ContextData())

    async def get(self, *oids):
        return await get_cmd(*self.with_, *(ObjectType(ObjectIdentity(o)) for o in oids), lookupMib=False)

    async def set(self, binds):
        return await set_cmd(*self.with_, *(ObjectType(ObjectIdentity(o), v) for o, v in binds), lookupMib=False)

    async def walk(self, by, *more):
        rows = []
        async for failed, status, _, binds in by(*self.with_, *more, ObjectType(ObjectIdentity(ROOT)), lookupMib=False, lexicographicMode=True):
            assert not failed and not status, (failed, status)
            rows += [(tuple(name), value) for name, value in binds]
        return rows


async def check(address):
    host, port = address.split(":")
    target = await UdpTransportTarget.create((host, int(port)), timeout=3, retries=1)
    agent = Agent(target)

    failed, status, _, binds = await agent.get(DESCR, UPTIME)
    assert not failed and not status and str(binds[0][1]) and int(binds[1][1]) >= 0, (failed, status)
    one, bulk = await agent.walk(walk_cmd), await agent.walk(bulk_walk_cmd, 0, 20)
    names = [name for name, _ in one]
    assert names == [name for name, _ in bulk], (len(one), len(bulk))
    assert len(names) > 20 and all(a < b for a, b in zip(names, names[1:])), len(names)

    if family == "nokia":
        # RowStatus destroy, which a row that is not there takes too (RFC 2579).
        failed, status, *_ = await agent.set([(PSK.format(3), Integer32(6))])
        assert not failed and not status, (failed, status)
    failed, status, index, _ = await agent.set(CHANGES[family])
    assert not failed and not status, (failed, status, index)
    for oid, value in CHANGES[family]:
        failed, status, _, binds = await agent.get(oid)
        shown = b"" if oid in EMPTY else 1 if oid in ROWS else value
        same = isinstance(binds[0][1], NoSuchInstance) if oid in WITHOUT_INSTANCE else binds[0][1] == shown
        assert not failed and not status and same, (oid, failed, status, binds)
    if family in FOLLOWS:
        oid, moved = FOLLOWS[family]
        failed, status, _, binds = await agent.get(oid)
        assert not failed and not status and binds[0][1] == moved, (oid, failed, status, binds)

    if family in OFFICER:
        await check_officer(agent)

    # Refused as a whole, by the varbind at fault.
    failed, status, index, _ = await agent.set([(CONTACT, OctetString("not this one")), (READ_ONLY[family], Integer32(1))])
    assert not failed and int(status) == 17 and int(index) == 2, (failed, status, index)
    _, _, _, binds = await agent.get(CONTACT)
    assert binds[0][1] != b"not this one"

    if family in SAME_SERVER:
        return len(names)
    failed, *_ = await Agent(target, auth="wrongpassword").get(DESCR)
    assert "wrong" in str(failed).lower() or "digest" in str(failed).lower(), failed
    failed, *_ = await Agent(await UdpTransportTarget.create((host, int(port)), timeout=1, retries=0), privacy="wrongpassword").get(DESCR)
    assert failed, "a wrong privacy password was accepted"
    return len(names)


async def check_officer(agent):
    """A wrong password and a missing one change nothing."""
    oid, value = CHANGES[family][2]
    wrong, change = (OFFICER[family], OctetString("not this one")), (oid, Integer32(1))
    for binds, result, status_of in (([wrong, change], 2, 6), ([change], 6, 14)):
        failed, status, *_ = await agent.set(binds)
        # ADVA R7 answers without an error, and has the result to read.
        assert not failed and int(status) == (0 if family == "adva-r7" else status_of), (failed, status)
        if family == "adva-r7":
            _, _, _, shown = await agent.get(R7.format("2.2.0"))
            assert shown[0][1] == result, shown
        _, _, _, kept = await agent.get(oid)
        assert kept[0][1] == value, kept


async def main():
    for address in addresses:
        print(address, await check(address), "rows")


asyncio.run(main())
