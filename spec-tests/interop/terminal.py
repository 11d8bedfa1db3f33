"""A shell in a terminal, driven by a test: what is pasted there is read by whoever reads the terminal then, as on a desk.

Each line on standard input is a JSON string, which is pasted in one piece. What the terminal shows goes to standard output. The
end of standard input hangs up.

Usage: terminal.py DIRECTORY
"""

import json
import os
import pty
import select
import signal
import sys


def main():
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(sys.argv[1])
        os.environ["TERM"] = "xterm"
        os.environ["PS1"] = "$ "
        os.execvp("bash", ["bash", "--norc", "--noprofile", "-i"])
    orders = b""
    while True:
        ready, _, _ = select.select([terminal, 0], [], [])
        if terminal in ready:
            try:
                shown = os.read(terminal, 65536)
            except OSError:
                break
            if not shown:
                break
            os.write(1, shown)
        if 0 in ready:
            read = os.read(0, 65536)
            if not read:
                break
            orders += read
            *lines, orders = orders.split(b"\n")
            for line in lines:
                os.write(terminal, json.loads(line).encode())
    try:
        os.kill(child, signal.SIGHUP)
    except ProcessLookupError:
        pass
    os.close(terminal)
    os.waitpid(child, 0)


main()
