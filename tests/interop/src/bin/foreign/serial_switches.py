"""serial_switches.py JDSU OSW: the exchanges of the SB's manual, and PnPQ's wait loop for an OSW22; leaves channel 7, drivers 5, mask 4, and cross."""
import sys
import time

import pyvisa

jdsu, osw = sys.argv[1:]
visa = pyvisa.ResourceManager("@py")
sb = visa.open_resource(f"ASRL{jdsu}::INSTR", baud_rate=1200, read_termination="\r\n", write_termination="\r", timeout=2000)


def until(condition, patience):
    """How long it took until the condition held."""
    begun = time.monotonic()
    while not condition():
        assert time.monotonic() - begun < patience, "it never came"
        time.sleep(0.02)
    return time.monotonic() - begun


def close(channel):
    """The wait loop of the manual."""
    sb.write("CSB")
    sb.write(f"CLOSE {channel}")
    return until(lambda: int(sb.query("STB?")) & 4, 5)


assert sb.query("IDN?") == "JDS Uniphase, SB Switch, 2.00"
assert sb.query("CLOSE? MAX") == "16"
assert sb.query("CLOSE?") == "0" and sb.query("LERR?") == "000" and sb.query("TST?") == "0"

assert close(5) >= 0.3, "300 ms for the first channel, and 12 ms for each further one"
assert sb.query("CLOSE?") == "5" and sb.query("CNB?") == "4"
sb.write("CLOSE 1.6e1;XDRS 3;XDR 3 1;XDR 2 0")
assert sb.query("CNB?") == "0", "it moves"
until(lambda: sb.query("CNB?") == "4", 5)
assert sb.query("xdr? 3") == "1" and sb.query("XDRS?") == "5"

# Snapshot, reset, and back.
assert sb.query("SRE 4;LRN?") == "CLOSE 16;XDRS 5;SRE 4"
snapshot = sb.query("LRN?")
sb.write("RESET")
assert sb.query("CLOSE?") == "0" and sb.query("XDRS?") == "0"
sb.write(snapshot)
assert sb.query("LRN?") == snapshot

# With the mask, a settled switch asks for service, and the query clears the status.
until(lambda: sb.query("CNB?") == "4", 5)
assert sb.query("STB?") == "068" and sb.query("STB?") == "000"

# Errors are silent; they wait in the queue, the last first.
sb.write("CLOSE 99")
sb.write("NONSENSE")
assert int(sb.query("STB?")) & 0x21 == 0x21
assert sb.query("LERR?") != "000" and sb.query("LERR?") != "000" and sb.query("LERR?") == "000"
sb.write("CLR")
assert sb.query("STB?") == "000" and sb.query("SRE?") == "0"
close(7)
sb.write("SRE 4")
assert sb.query("OPC?") == "1"
sb.close()

opened = time.monotonic()
switch = visa.open_resource(f"ASRL{osw}::INSTR", baud_rate=115200, read_termination="\r\n", write_termination="\n", timeout=200)
answered = None
while answered is None:
    try:
        answered = switch.query("T?")
    except pyvisa.errors.VisaIOError:
        assert time.monotonic() - opened < 5, "it never answered"
assert time.monotonic() - opened >= 0.9 and answered == "OSW22-1310E", answered
switch.timeout = 2000
assert switch.query("I?") and switch.query("S?") == "1"
switch.write("S 2")
assert switch.query("S?") == "1", "the first answer after a set is the old state"
until(lambda: switch.query("S?") == "2", 3)
switch.close()
