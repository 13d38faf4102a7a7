import signal
from threading import Thread

import pytest

from nasmith.interrupts import graceful


def test_the_first_signal_asks_to_stop_and_the_second_interrupts():
    asked = []
    former = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), graceful(lambda: asked.append(True)):
        signal.raise_signal(signal.SIGINT)
        assert asked == [True]
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is former


def test_in_another_thread_it_does_nothing():
    ran = []

    def body():
        with graceful(lambda: None):
            ran.append(signal.getsignal(signal.SIGINT))

    thread = Thread(target=body)
    thread.start()
    thread.join()
    assert ran == [signal.getsignal(signal.SIGINT)]
