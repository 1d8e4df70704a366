"""pass_persist.py FILE: serves the rows of a recorded walk to net-snmp's snmpd (pass_persist in
snmpd.conf(5)). FILE is JSON: [[oid, type, value]], octets as hexadecimal digits."""
import bisect
import json
import sys

TYPES = {
    "integer": "integer", "octets": "octet", "oid": "objectid", "address": "ipaddress",
    "counter": "counter", "gauge": "gauge", "ticks": "timeticks", "counter64": "counter64",
}


def key(oid):
    return tuple(int(n) for n in oid.strip(".").split("."))


rows = sorted((key(oid), kind, value) for oid, kind, value in json.load(open(sys.argv[1])))
names = [row[0] for row in rows]


def show(row):
    name, kind, value = row
    if kind == "octets":
        value = " ".join(value[i:i + 2] for i in range(0, len(value), 2))
        # snmpd has no way to say an empty octet string but an empty string.
        if not value:
            kind, value = "string", ""
            print("." + ".".join(map(str, name)), "string", "", sep="\n", flush=True)
            return
    if kind == "oid":
        value = "." + value
    print("." + ".".join(map(str, name)), TYPES[kind], value, sep="\n", flush=True)


while line := sys.stdin.readline():
    command = line.strip()
    if command == "PING":
        print("PONG", flush=True)
    elif command in ("get", "getnext"):
        asked = key(sys.stdin.readline())
        at = bisect.bisect_right(names, asked) if command == "getnext" else bisect.bisect_left(names, asked)
        if at < len(names) and (command == "getnext" or names[at] == asked):
            show(rows[at])
        else:
            print("NONE", flush=True)
    elif not command:
        break
    else:
        sys.stdin.readline()
        sys.stdin.readline()
        print("not-writable", flush=True)
