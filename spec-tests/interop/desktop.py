#!/usr/bin/env python3
"""Gajim, Dino and profanity against the server: they sign in, add each other, and see each other's presence.

Each client has a screen and settings of its own, in namespaces where nothing else is: the server is at port 5222 of a loopback of
theirs, and their system trusts its certificate. Nothing on this machine is changed.

Needs what Debian has as gajim, dino-im, profanity, gir1.2-atspi-2.0, python3-gi, at-spi2-core, dbus, imagemagick, iproute2,
openssl, tmux and xvfb. Ends with status 0 if each of the three saw both others there with what they said of themselves, and leaves
pictures of all screens in the directory.

Usage: desktop.py SPONDEE_PROGRAM DIRECTORY
"""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from desktop_clients import PASSWORD, Dino, Gajim, Profanity, run, until

PEOPLE = ("juliet", "romeo", "mercutio")


# Outside: namespaces.

def outside(program, directory):
    directory.mkdir(parents=True, exist_ok=True)
    stage = directory / "stage"
    shutil.rmtree(stage, ignore_errors=True)
    certificates = stage / "certs"
    trusted = stage / "trusted"
    for path in (certificates, trusted):
        path.mkdir(parents=True)
    stage.chmod(0o700)
    key, certificate = certificates / "localhost.key", certificates / "localhost.crt"
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30",
        "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE",
        "-keyout", key, "-out", certificate)
    key.chmod(0o600)
    shutil.copy(certificate, trusted / "localhost.crt")
    shutil.copy(certificate, trusted / "ca-certificates.crt")
    run("openssl", "rehash", trusted)
    me = Path(__file__).resolve()
    # Root of a world of its own first, who mounts; then somebody in it, because Gajim does not run as root.
    script = """
        set -eu
        ip link set lo up
        mount --bind "$1" /etc/ssl/certs
        exec unshare --user --map-user=1000 --map-group=1000 dbus-run-session -- "$2" "$3" --inside "$4" "$5"
    """
    os.execvp("unshare", [
        "unshare", "--map-root-user", "--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child",
        "bash", "-c", script, "bash",
        str(trusted), sys.executable, str(me), str(program.resolve()), str(directory.resolve()),
    ])


# Inside: the server.

class Server:
    def __init__(self, program, stage):
        self.program = program
        self.config = stage / "spondee.toml"
        self.log = stage / "log"
        self.config.write_text(f"""
data_directory = {json.dumps(str(stage / "data"))}
certificates = {json.dumps(str(stage / "certs"))}
interfaces = ["127.0.0.1"]
c2s_ports = [5222]
c2s_direct_tls_ports = [5223]
threads = 2
[host."localhost"]
""")
        for name in PEOPLE:
            self.command("user", "add", f"{name}@localhost", input=PASSWORD + "\n")
        self.process = subprocess.Popen([program, "--config", self.config, "serve"], stdout=self.log.open("w"),
                                        stderr=subprocess.STDOUT)
        until("a server", lambda: self.log.read_text().count("listening on") == 2)

    def command(self, *words, **options):
        return run(self.program, "--config", self.config, *words, **options)

    def signed_in(self, name):
        until(f"{name} signed in", lambda: f"signed in account={name}@localhost" in self.log.read_text())

    def show(self, name):
        return self.command("user", "show", f"{name}@localhost")


def inside(program, directory):
    import gi
    gi.require_version("Atspi", "2.0")
    stage = directory / "stage"
    server = Server(program, stage)
    juliet, romeo, mercutio = Gajim(stage, "juliet"), Dino(stage, "romeo"), Profanity(stage, "mercutio")
    people = (juliet, romeo, mercutio)
    try:
        for person in people:
            person.start()
            server.signed_in(person.name)
        pictures(directory, "1-signed-in", people)

        # Each adds somebody by its own means, and each is asked.
        juliet.add("romeo")
        time.sleep(2)
        pictures(directory, "2-juliet-asks-romeo", people)
        romeo.accept("juliet")
        mercutio.add("juliet")
        time.sleep(2)
        pictures(directory, "3-mercutio-asks-juliet", people)
        juliet.accept("mercutio")
        mercutio.accept("juliet")
        mercutio.add("romeo")
        romeo.accept("mercutio")
        mercutio.accept("romeo")

        juliet.say("dnd", "on the balcony")
        mercutio.say("away", "a plague on both")
        for who, whom, show, status in (
            (juliet, "romeo", "online", ""), (juliet, "mercutio", "away", "a plague on both"),
            (romeo, "juliet", "dnd", "on the balcony"), (romeo, "mercutio", "away", "a plague on both"),
            (mercutio, "juliet", "dnd", "on the balcony"), (mercutio, "romeo", "online", ""),
        ):
            until(f"{who.name} sees {whom} {show} {status}", lambda: who.sees(whom, show, status))
            print(f"{type(who).__name__} sees {whom} {show} {status}", flush=True)
        romeo.look_at_contacts()
        mercutio.type("/roster")
        time.sleep(1)
        pictures(directory, "4-all-see-each-other", people)
    except BaseException:
        pictures(directory, "9-failed", people)
        print(server.log.read_text(), *(server.show(name) for name in PEOPLE), sep="\n")
        raise
    finally:
        for person in people:
            person.end()
        server.process.terminate()
        server.process.wait()
    return 0


def pictures(directory, moment, people):
    for person in people:
        person.picture(directory / f"{moment}-{type(person).__name__.lower()}.png")


if __name__ == "__main__":
    arguments = sys.argv[1:]
    if arguments[0] == "--inside":
        sys.exit(inside(Path(arguments[1]), Path(arguments[2])))
    outside(Path(arguments[0]), Path(arguments[1]))
