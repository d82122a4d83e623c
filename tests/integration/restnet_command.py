"""The command line for the tests, in a process that hears Ctrl-C whatever its parent made of it."""

import signal

from service.cli import main

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    main()
