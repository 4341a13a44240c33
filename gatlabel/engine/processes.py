"""The processes that train one model together: their ranks, start and end.

The first process (rank 0) executes the run: it reads, plans, evaluates, writes and prints. The
others only take part in the training steps. They are started by the first one (``--devices``) or by
``torchrun``; in that case they wait until training starts.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any, Self

import torch
from torch import distributed

from gatlabel.engine.launchers import launched_by_torchrun
from gatlabel.engine.ranks import Ranks
from gatlabel.errors import InputError, first_line
from gatlabel.printing import note

#: Seconds within which a process that has failed ends the others too.
GRACE = 30.0
#: Seconds within which the processes must be ready; most of it is the import of libraries.
START = 300.0
#: Minutes after which a process that is alive but does not respond ends the others.
ANSWER = 30
#: Exit code of a process that ended because another one did.
PEER_LOST = 75

_PEER = re.compile(r"gloo|nccl|connection (closed|reset|refused)|broken pipe", re.IGNORECASE)


class Team:
    """The processes of one run, as seen by one of them; they end with the context.

    Args:
        follower: The module whose ``main`` the started processes execute.
        parent: The process that started this one, which ends with it; by default its current
            parent process.

    Attributes:
        rank: Number of this process; 0 is the process that executes the run.
        size: Number of processes; 1 before :meth:`enlist`.
    """

    def __init__(self, follower: str, parent: int | None = None) -> None:
        self._program = f"from {follower} import main; main()"
        self._parent = os.getppid() if parent is None else parent
        several = launched_by_torchrun() and int(os.environ["WORLD_SIZE"]) > 1
        names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
        numbers = (int(os.environ[name]) for name in names) if several else (0, 1, 0, 1)
        self.rank, self.size, self.local_rank, self.local_size = numbers
        self._launched = several
        self._store: Any = None
        self._children: dict[int, subprocess.Popen[bytes]] = {}
        self._called = False

    def __enter__(self) -> Self:
        if self.rank:
            threading.Thread(target=self._end_with_parent, daemon=True).start()
        if self._launched:
            self._store = self._rendezvous()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._launched and not self.rank and not self._called:
            with suppress(Exception):  # torchrun ends processes that cannot be reached
                self._store.set("work", "none")
        self._end_children()

    def enlist(self, devices: int | str, device: torch.device, batch_size: int) -> None:
        """Sets the number of processes that train together, without starting them.

        Args:
            devices: The option: a number or ``auto``.
            device: The device of the first process.
            batch_size: Images per step, over all processes.

        Raises:
            InputError: If there are too few devices, or the launcher started another number.
        """
        many = device.type == "cuda"
        wanted = (torch.cuda.device_count() if many else 1) if devices == "auto" else int(devices)
        if self._launched:
            if devices not in (1, "auto", self.size):
                raise InputError(
                    f"devices={devices}: torchrun has started {self.size} processes; omit the "
                    "option, or give their number"
                )
            wanted = self.local_size
        else:
            self.size = self.local_size = wanted
        if self.size > 1 and device.type not in ("cpu", "cuda"):
            raise InputError(f"devices={self.size}: only on CUDA and CPUs, not on {device}")
        if self.size > 1 and many and (device.index or wanted > torch.cuda.device_count()):
            raise InputError(
                f"devices={wanted} with device {device}: this machine has "
                f"{torch.cuda.device_count()} CUDA devices, of which the first ones are used; "
                "give device=cuda and at most as many"
            )
        if self.size > batch_size:
            raise InputError(
                f"devices={self.size}: more than the {batch_size} images per step; give a larger "
                "batch_size or fewer devices"
            )

    def wait_for_work(self) -> torch.device | None:
        """Waits, in any process but the first, for the device to train on; ``None`` for no work."""
        while True:
            with suppress(distributed.DistStoreError):
                self._store.wait(["work"], timedelta(seconds=20))
                break
        kind: str = self._store.get("work").decode()
        if kind == "none":
            return None
        self._store.set(f"ready/{self.rank}", "yes")
        return torch.device(kind)

    @contextmanager
    def joined(self, device: torch.device) -> Iterator[Ranks]:
        """Connects the processes; the first one starts the others unless a launcher has done so.

        If another process fails, the block ends within :data:`GRACE` seconds.

        Args:
            device: Device of the run; each process uses the device with its own number.

        Raises:
            InputError: If another process has been killed or has raised an InputError.
            RuntimeError: If another process has raised any other error.
        """
        done = threading.Event()
        threads = torch.get_num_threads()
        try:
            if not self.rank:
                self._call(device)
            threading.Thread(target=self._watch, args=(done,), daemon=True).start()
            self._connect(device, threads)
            yield Ranks(self.rank, self.size, self.local_rank, self.local_size)
            distributed.barrier()
        except Exception as error:
            if self.rank:
                self._report(error)
            elif _is_of_peer(error):
                raise self._cause() from error
            raise
        finally:
            with suppress(Exception):
                distributed.destroy_process_group()
            done.set()
            torch.set_num_threads(threads)

    def _connect(self, device: torch.device, threads: int) -> None:
        if device.type == "cuda":
            torch.cuda.set_device(self.local_rank)
        elif not self.rank and not self._launched:
            torch.set_num_threads(max(1, threads // self.local_size))
        distributed.init_process_group(
            "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo",
            store=distributed.PrefixStore("ranks", self._store),  # type: ignore[attr-defined]
            rank=self.rank,
            world_size=self.size,
            timeout=timedelta(minutes=ANSWER),
        )

    def _rendezvous(self) -> Any:
        from torch.distributed.rendezvous import rendezvous

        wait = timedelta(seconds=START)
        store, _, _ = next(rendezvous("env://", self.rank, self.size, timeout=wait))
        return store

    def _call(self, device: torch.device) -> None:
        """Starts the other processes and waits until they are ready."""
        if not self._launched:
            self._store = distributed.TCPStore(  # type: ignore[attr-defined]
                "127.0.0.1", 0, self.size, is_master=True, wait_for_workers=False
            )
            for rank in range(1, self.size):
                self._children[rank] = self._start(rank, device)
        self._called = True
        self._store.set("work", device.type)
        until = time.monotonic() + START
        for rank in range(1, self.size):
            while not self._store.check([f"ready/{rank}"]):
                if self._ended() or self._reports() or time.monotonic() > until:
                    raise self._cause()
                time.sleep(0.05)

    def _start(self, rank: int, device: torch.device) -> subprocess.Popen[bytes]:
        numbers = {"RANK": rank, "LOCAL_RANK": rank, "MASTER_PORT": self._store.port}
        sizes = dict.fromkeys(("WORLD_SIZE", "LOCAL_WORLD_SIZE"), self.size)
        if device.type == "cpu":
            numbers["OMP_NUM_THREADS"] = max(1, torch.get_num_threads() // self.size)
        given = {name: str(value) for name, value in (numbers | sizes).items()}
        # a separate process group: Ctrl-C reaches only the first process, which ends the others
        return subprocess.Popen(
            [sys.executable, "-c", self._program, str(os.getpid())],
            env={**os.environ, **given, "MASTER_ADDR": "127.0.0.1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            process_group=0,
        )

    def _report(self, error: Exception) -> None:
        """Sends the error that ends this process to the first process, which prints it."""
        if _is_of_peer(error):
            return
        mine = isinstance(error, InputError)
        text = str(error) if mine else "".join(traceback.format_exception(error))
        if self._launched and "TORCHELASTIC_RUN_ID" in os.environ:
            note(f"gatlabel: process {self.rank} of {self.size} (ranks from 0): {text}")
            return  # torchrun ends the first process before it can print the error
        with suppress(Exception):
            self._store.set(f"failed/{self.rank}", json.dumps({"mine": mine, "text": text}))

    def _reports(self) -> Mapping[int, Mapping[str, Any]]:
        names = {rank: f"failed/{rank}" for rank in range(1, self.size)}
        found = {rank: name for rank, name in names.items() if self._store.check([name])}
        return {rank: json.loads(self._store.get(name)) for rank, name in found.items()}

    def _ended(self, *passing: int) -> str:
        """Describes the first started process that has ended with another exit code than these."""
        for rank, child in self._children.items():
            code = child.poll()
            if code is not None and code not in passing:
                how = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
                return f"process {rank} of {self.size} (ranks from 0) ended {how}"
        return ""

    def _cause(self, wait: float = 5.0) -> Exception:
        """Returns the error that ended another process, which may arrive a moment later."""
        until = time.monotonic() + wait
        while True:
            with suppress(distributed.DistError):
                for rank, report in self._reports().items():
                    where = f"process {rank} of {self.size} (ranks from 0)"
                    if report["mine"]:
                        return InputError(f"{where}: {report['text']}")
                    return RuntimeError(f"{where} failed:\n{report['text']}")
            if ended := self._ended(0, PEER_LOST):
                return InputError(f"{ended}, which ended training; continue with --resume")
            if time.monotonic() > until:
                return InputError(
                    f"one of the {self.size} processes has ended or does not respond, which ended "
                    "training; continue with --resume"
                )
            time.sleep(0.1)

    def _watch(self, done: threading.Event) -> None:
        """Ends this process if another has ended and this one is blocked.

        On CUDA a process waits for the others in a device operation, which exceptions do not
        interrupt.
        """
        while not done.wait(0.5):
            if self._ended(0):
                if not done.wait(GRACE / 2):
                    note(f"gatlabel: {self._cause(0)}")
                    self._end_children()
                    os._exit(2)
                return

    def _end_with_parent(self) -> None:
        """Ends this process when the one that started it has ended for any reason."""
        while os.getppid() == self._parent:
            time.sleep(1)
        os._exit(PEER_LOST)

    def _end_children(self) -> None:
        """Ends the started processes; those that have finished end by themselves."""
        for child in self._children.values():
            child.terminate()
        for child in self._children.values():
            try:
                child.wait(GRACE / 6)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        self._children = {}


def _is_of_peer(error: BaseException) -> bool:
    """Whether an error only means that another process does not respond."""
    if isinstance(error, InputError | distributed.DistError):
        return not isinstance(error, InputError)
    return isinstance(error, RuntimeError) and bool(_PEER.search(first_line(error)))
