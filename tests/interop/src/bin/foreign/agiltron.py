"""agiltron.py ff|selfalign PATH CHANNELS: each channel in turn by somebody else's client, and back to the first."""
import sys

model, path, channels = sys.argv[1], sys.argv[2], int(sys.argv[3])

if model == "ff":
    import qmi
    from qmi.instruments.agiltron.ff1x4 import Agiltron_FF1x4
    from qmi.instruments.agiltron.ff1x8 import Agiltron_FF1x8

    kind = {4: Agiltron_FF1x4, 8: Agiltron_FF1x8}[channels]
    qmi.start("check", config_file=None, init_logging=False)
    switch = qmi.make_instrument("switch", kind, f"serial:{path}")
    switch.open()
    for channel in range(channels, 0, -1):
        switch.set_channel_active(channel)
        assert switch.get_active_channel() == channel, channel
    switch.close()
    qmi.stop()
else:
    from agiltron_selfalign import AgiltronSelfAlign

    with AgiltronSelfAlign(path, number_of_ports=channels) as switch:
        for channel in range(channels, 0, -1):
            switch.set_fiber_port(channel)
        switch.set_fiber_port(2)
        switch.home()
