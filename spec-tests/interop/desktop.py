#!/usr/bin/env python3
"""Gajim, Dino and profanity against the server: they sign in, add each other, see each other's presence, and write to each other.

Each client has a screen and settings of its own, in namespaces where nothing else is: the server is at port 5222 of a loopback of
theirs, and their system trusts its certificate. Nothing on this machine is changed.

Needs what Debian has as gajim, dino-im, profanity, gir1.2-atspi-2.0, python3-gi, at-spi2-core, dbus, imagemagick, iproute2,
openssl, tmux, xdotool and xvfb. Ends with status 0 if each of the three saw both others there with what they said of themselves, and
if Gajim and Dino have each line once: after a restart of all, and on a device that is new. Leaves pictures of all screens in the
directory.

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
s2s_allowed_domains = []
threads = 2
[host."localhost"]
""")
        for name in PEOPLE:
            self.command("user", "add", f"{name}@localhost", input=PASSWORD + "\n")
        self.start()

    def start(self):
        """Each run has a log of its own."""
        self.process = subprocess.Popen([self.program, "--config", self.config, "serve"], stdout=self.log.open("w"),
                                        stderr=subprocess.STDOUT)
        until("a server", lambda: self.log.read_text().count("listening on") == 2)

    def stop(self):
        self.process.terminate()
        self.process.wait()

    def command(self, *words, **options):
        return run(self.program, "--config", self.config, *words, **options)

    def signed_in(self, name, times=1):
        until(f"{name} signed in", lambda: self.log.read_text().count(f"signed in account={name}@localhost") >= times)

    def show(self, name):
        return self.command("user", "show", f"{name}@localhost")


def inside(program, directory):
    import gi
    gi.require_version("Atspi", "2.0")
    stage = directory / "stage"
    server = Server(program, stage)
    juliet, romeo, mercutio = Gajim(stage, "juliet"), Dino(stage, "romeo"), Profanity(stage, "mercutio")
    people = [juliet, romeo, mercutio]
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
        romeo.press("Cancel")
        history(server, stage, directory, people)
    except BaseException:
        pictures(directory, "9-failed", people)
        print(server.log.read_text(), *(server.show(name) for name in PEOPLE), sep="\n")
        raise
    finally:
        for person in people:
            person.end()
        server.stop()
    return 0


def history(server, stage, directory, people):
    """What they write is there once: as it was written, after all and the server were gone, on a device that is new, and live."""
    juliet, romeo, mercutio = people
    # profanity 0.13 would ask the host for an archive, which has none (XEP-0313 §7): it shows what it kept itself.
    mercutio.type("/carbons on")
    between = {frozenset(pair): [] for pair in (("juliet", "romeo"), ("juliet", "mercutio"), ("romeo", "mercutio"))}

    def writes(who, whom, line):
        who.write(whom, line)
        between[frozenset((who.name, whom))].append(line)
        for person in people:
            if person is not mercutio and person.name in (who.name, whom):
                shows(person)

    def shows(person):
        """All that was written to and by them, once, in order; of two devices each."""
        lines = {pair: lines for pair, lines in between.items() if person.name in pair}
        expected = sorted(line for lines in lines.values() for line in lines)
        until(f"{person.device} has {expected}, it has {person.has()}", lambda: sorted(person.has()) == expected)
        for pair in lines.values():
            assert [line for line in person.has() if line in pair] == pair, person.has()

    writes(juliet, "romeo", "What man art thou?")
    writes(romeo, "juliet", "By a name I know not how to tell thee")
    writes(juliet, "romeo", "How camest thou hither?")
    writes(juliet, "mercutio", "Is he there?")
    writes(mercutio, "juliet", "He jests at scars")
    writes(mercutio, "romeo", "Romeo, humours, madman, passion, lover")
    pictures(directory, "5-they-talk", people)

    # Some of it while they are away, and the server is not what it was either.
    juliet.leave()
    romeo.leave()
    for name in ("juliet", "romeo"):
        until(f"{name} is away", lambda: "connected:" not in server.show(name))
        mercutio.write(name, f"O, here is my wit, {name}")
        between[frozenset(("mercutio", name))].append(f"O, here is my wit, {name}")
    time.sleep(2)
    mercutio.leave()
    server.stop()
    server.start()
    for person in people:
        person.come_back()
        server.signed_in(person.name)
    for person in (juliet, romeo):
        shows(person)
    juliet.open("romeo")
    romeo.open("juliet")
    time.sleep(5)
    pictures(directory, "6-after-a-restart", people)

    # A new device has what was, and what is written from now on by either.
    chamber = Dino(stage, "juliet", "-of-juliet")
    people.append(chamber)
    chamber.start()
    server.signed_in("juliet", 2)
    shows(chamber)
    writes(juliet, "romeo", "Three words, dear Romeo")
    writes(romeo, "juliet", "So thrive my soul")
    writes(mercutio, "juliet", "Good night")
    chamber.look_at_first()
    chamber.type("Thou hast quit me")
    between[frozenset(("juliet", "mercutio"))].append("Thou hast quit me")
    shows(juliet)
    time.sleep(3)
    for person in (juliet, romeo, chamber):
        shows(person)
        print(f"{person.device} has all of it once", flush=True)
    juliet.open("mercutio")
    pictures(directory, "7-with-a-second-device", people)


def pictures(directory, moment, people):
    for person in people:
        person.picture(directory / f"{moment}-{person.device}.png")


if __name__ == "__main__":
    arguments = sys.argv[1:]
    if arguments[0] == "--inside":
        sys.exit(inside(Path(arguments[1]), Path(arguments[2])))
    outside(Path(arguments[0]), Path(arguments[1]))
