"""Runs MiniStack until standard input is closed.

A parent that is killed cannot end its children, but the system closes its pipes, so end of input means stop. Only a clean
shutdown saves the state. This requests one, and ends the process by force after five seconds.
"""

import os
import shutil
import signal
import sys
import tempfile
import threading
import time

scratch = tempfile.mkdtemp(prefix="cloister-aws-")
tempfile.tempdir = scratch
os.environ["TMPDIR"] = scratch


def stop_at_end_of_input():
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(5)
    shutil.rmtree(scratch, ignore_errors=True)
    os._exit(1)


threading.Thread(target=stop_at_end_of_input, daemon=True).start()
# SIGTERM runs the clean-up below also before MiniStack has installed its own handlers.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
try:
    from ministack.app import main

    main()
finally:
    shutil.rmtree(scratch, ignore_errors=True)
