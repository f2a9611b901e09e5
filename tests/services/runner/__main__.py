"""The command line: `with-services.sh [--only LIST] [--keep] -- COMMAND…` and `control.sh VERB SERVICE`."""

import argparse
import os
import sys
import time

from . import folder
from .command import Command, Interrupted, end_leftovers
from .control import VERBS, Control, ask
from .postgres import Postgres
from .process import StartFailed, adopt_orphans
from .rabbitmq import RabbitMq
from .redis import Redis

# The slowest to start comes first; all start at once.
KNOWN = (RabbitMq, Postgres, Redis)
CONTROL_VARIABLE = "SCIMFLEET_TEST_CONTROL"


def say(text):
    print(f"services: {text}", file=sys.stderr, flush=True)


def parse(arguments):
    names = [kind.name for kind in KNOWN]
    parser = argparse.ArgumentParser(
        prog="with-services.sh", description="Runs COMMAND with private RabbitMQ, PostgreSQL and Redis, then ends them.",
        epilog="COMMAND finds them in " + ", ".join(kind.variable for kind in KNOWN)
        + f"; {CONTROL_VARIABLE} is the socket of control.sh.")
    parser.add_argument("--only", default=",".join(names), metavar="LIST", help="of " + ",".join(names))
    parser.add_argument("--keep", action="store_true", help="keep the run folder with logs and data")
    parser.add_argument("command", nargs="+", metavar="COMMAND")
    options = parser.parse_args(arguments)
    options.only = options.only.split(",")
    unknown = set(options.only) - set(names)
    if unknown:
        parser.error(f"unknown service {', '.join(sorted(unknown))}; known are {', '.join(names)}")
    return options


def bring_up(run_folder, only, services):
    """Starts all, then waits for each. `services` is filled as they start, so that the caller can end them."""
    for kind in KNOWN:
        if kind.name in only:
            services.append(kind(run_folder))
            services[-1].launch()
    for service in services:
        service.settle()


def environment(services, control, temporary):
    env = dict(os.environ)
    env.update({service.variable: service.url() for service in services})
    env[CONTROL_VARIABLE] = control.path
    # Whatever the command forgets there goes with the run folder.
    env["TMPDIR"] = temporary
    return env


def tear_down(services):
    for service in services:
        service.request_stop()
    for service in services:
        service.stop()


def run_with(options, run_folder, command, services):
    started = time.monotonic()
    bring_up(run_folder, options.only, services)
    say(f"{', '.join(service.name for service in services)} up in {time.monotonic() - started:.1f} s ({run_folder})")
    temporary = os.path.join(run_folder, "tmp")
    os.mkdir(temporary, 0o700)
    control = Control(run_folder, services)
    try:
        code = command.run(options.command, environment(services, control, temporary), control)
    finally:
        command.ignore_signals()
        control.close()
    own = {daemon.child.pid for service in services for daemon in service.daemons if daemon.child}
    left = end_leftovers(own)
    if left:
        say("the command left running, now ended: " + ", ".join(left))
    return code


def with_services(options):
    adopt_orphans()
    command, services = Command(), []
    run_folder = folder.make()
    try:
        return run_with(options, run_folder, command, services)
    except StartFailed as failure:
        say(str(failure))
        return 1
    except FileNotFoundError as error:
        say(f"could not run `{options.command[0]}`: {error.strerror}")
        return 127
    except Interrupted as interruption:
        say(str(interruption))
        return 128 + interruption.number
    finally:
        command.ignore_signals()
        started = time.monotonic()
        tear_down(services)
        end_leftovers(set(), seconds=5)
        if options.keep:
            folder.keep(run_folder)
            say(f"kept {run_folder}")
        else:
            folder.remove(run_folder)
        say(f"down in {time.monotonic() - started:.1f} s")


def control_main(words):
    path = os.environ.get(CONTROL_VARIABLE)
    if path is None or len(words) != 2 or words[0] not in VERBS:
        say(f"usage: control.sh {'|'.join(VERBS)} SERVICE, inside of with-services.sh")
        return 2
    answer = ask(path, *words)
    print(answer)
    return 0 if answer == "ok" else 1


def main():
    if sys.argv[1:2] == ["control"]:
        return control_main(sys.argv[2:])
    return with_services(parse(sys.argv[1:]))


sys.exit(main())
