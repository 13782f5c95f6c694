"""The program: flags first, so that --help and mistakes are answered before anything heavy is imported."""

import logging
import os
import signal
import sys

from tfserving.dev_server.flags import Flags, parse_flags

log = logging.getLogger("model server")


def main() -> None:
    """Serves until it is told to stop; leaves with 0 after SIGTERM or SIGINT, with 1 where it cannot start."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))  # until there is something to drain
    flags = parse_flags(sys.argv[1:])
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    log.info("this is the development model server: for development, not for production")
    quieten_libraries()
    status = run(flags)
    logging.shutdown()
    os._exit(status)  # calls that outlived the grace period, and TensorFlow's own threads, do not hold us up


def quieten_libraries() -> None:
    """Sets what gRPC and TensorFlow read when they are loaded; what the user set stays."""
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # errors only


def run(flags: Flags) -> int:
    """The exit status, once it has served."""
    from tfserving.dev_server.errors import Refused
    from tfserving.dev_server.server import serve

    try:
        serve(flags)
    except Refused as error:
        log.error("cannot start: %s", error.line)
        return 1
    return 0


if __name__ == "__main__":
    main()
