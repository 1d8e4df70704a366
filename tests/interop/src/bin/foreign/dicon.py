"""dicon.py HOST PORT: somebody else's client on a DiCon GP600 16x16; leaves 1-2 and 16-16 connected."""
import sys

from autosweep.instruments.optical.DiConGP600 import DiConGP600X1

host, port = sys.argv[1:]
# It asks who is there, empties the error queue, and asks for configuration and dimension.
switch = DiConGP600X1(f"TCPIP0::{host}::{port}::SOCKET")
assert switch.idn_ask_dict() == {"vendor": "Dicon Fiberoptics Inc", "model": "GP600", "serial": "19A0M10D0117", "version": "7.0"}, switch.idn_ask()
assert switch.version_ask() == "7.0"
assert (switch.get_inputs(), switch.get_outputs()) == (16, 16)
assert all(switch.channel_ask(n) == 0 for n in switch.iter_inputs())

# It reads back what it sets, and the errors.
switch.channels((n, 17 - n) for n in switch.iter_inputs())
assert [switch.channel_ask(n) for n in switch.iter_inputs()] == list(range(16, 0, -1))
switch.channel(3, 0)
assert switch.channel_ask(3) == 0 and switch.channel_ask(4) == 13
switch.reset()

assert switch.wavelengths_availible_ask() == [1310.0, 1550.0] and switch.wavelength_ask() == 1310.0
switch.wavelength(1550)
assert switch.wavelength_ask() == 1550.0
assert switch.wen_ask() == 0
switch.wen(True)
assert switch.wen_ask() == 1

# What it cannot ask by its methods: its own limits stand before the switch's.
switch.com.write("X1 CH 17 1")
assert switch.system_error_ask() != "+0, No Error"
switch.assert_errors()

switch.channel(1, 2)
switch.channel(16, 16)
switch.com.close()
