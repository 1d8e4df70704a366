"""visa.py HOST PORT TTY: a Polatis 16x16 over a socket and over its console; leaves 1-17 and 2-30 connected."""
import sys

import pyvisa

host, port, tty = sys.argv[1:]
visa = pyvisa.ResourceManager("@py")
socket = visa.open_resource(f"TCPIP0::{host}::{port}::SOCKET", read_termination="\r\n", write_termination="\n", timeout=2000)
# One public client of the console sends CR LF and reads to CR; an LF behind that is blank space.
console = visa.open_resource(f"ASRL{tty}::INSTR", baud_rate=38400, read_termination="\r", write_termination="\r\n", timeout=2000)


def ask(line, command):
    return line.query(command).strip()


for line in (socket, console):
    assert ask(line, "*idn?") == "Polatis,N-OST-16x16-LA1-DMHNS,002414,6.5.2.18", ask(line, "*IDN?")
    assert ask(line, ":OXC:SWITch:SIZE?") == "16,16"
    assert ask(line, ":oxc:swit:conn:stat?") == "(@),(@)"

socket.write(":oxc:swit:conn:add (@1,3),(@17,19)")
assert ask(socket, "*opc?") == "1"
assert ask(console, ":oxc:swit:conn:stat?") == "(@1,3),(@17,19)"
assert ask(console, ":oxc:swit:conn:port? 17") == '"1"' and ask(console, ":oxc:swit:conn:port? 2") == '""'
console.write(":oxc:swit:conn:only (@1,2),(@17,30)")
assert ask(console, "*opc?") == "1"
assert ask(socket, ":oxc:swit:conn:stat?") == "(@1,2),(@17,30)"

console.write(":oxc:swit:port:dis (@5)")
assert ask(console, "*opc?;:oxc:swit:port:stat? (@4,5)") == "1;(E,D)"
console.write(":oxc:swit:port:enab (@5)")

power = ask(socket, ":pmon:pow? (@17,18)").strip("()").split(",")
assert -10 < float(power[0]) < 0 and float(power[1]) < -30, power

# A query that fails is not answered: VISA's own timeout, and the error is in the queue.
socket.timeout = 300
try:
    raise SystemExit("port 99 gave " + ask(socket, ":oxc:swit:conn:port? 99"))
except pyvisa.errors.VisaIOError as error:
    assert error.error_code == pyvisa.constants.StatusCode.error_timeout, error
socket.timeout = 2000
assert ask(socket, ":syst:err?").startswith("-222,") and ask(socket, ":syst:err?").startswith("0,")
socket.close()
console.close()
