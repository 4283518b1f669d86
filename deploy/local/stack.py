"""One profile's Kafka, Redis, workers and gateway, as an object: start, stop, kill, look.

    with Stack("mytest", services=("kafka", "redis")) as stack:          # down at the end of the block
        connect(stack.kafka_bootstrap, stack.redis_url)

    stack = Stack("chaos", workers={"assess": 2}, env={"LIANDONG_POLL_RECORDS": "50"}).up()
    stack.kill("assess-0")                    # SIGKILL; the supervisor starts it again
    stack.stop_one("track-0"); stack.start_one("track-0", env={"LIANDONG_CRASH": "..."})
    stack.down(wipe=True)

Invariant: what `up` started, `down` ends, whatever happened between. A stack of a profile other than `demo` also ends
when the process that started it does, so that a broken test session leaves nothing behind.
"""

from __future__ import annotations

import fcntl
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Self

from deploy.local import ports, prometheus, status, store_access
from deploy.local import process_specs as plan
from deploy.local import readiness as ready
from deploy.local import services as backbone
from deploy.local.control import Control
from deploy.local.errors import LauncherError
from deploy.local.jars import Progress
from deploy.local.pacing import LONGEST_PAUSE_S
from deploy.local.paths import Places
from deploy.local.process import Identity, Spec

ONE_EACH = dict.fromkeys(plan.AGENTS, 1)
STAYS = "demo"  # the profile for people: it outlives its starter and may use external services


class Stack:
    """Everything is a keyword but the profile.

    home: folder of the profiles; default LIANDONG_HOME or `.liandong`. workers: processes of each stage; default one each, 0
    omits one. services: the services to start. env: for the workers and the gateway. bound: end with the calling process
    (default: all but `demo`). monitor: the Prometheus program (deploy/local/prometheus.py); None for none. It scrapes every
    `scrape_s`. raw_institutions: institutions with Kafka clients of their own; if any, an `intake` worker runs. Default: from the
    environment, two of them in `demo`. external: use KAFKA_BOOTSTRAP and REDIS_URL of the environment if set (default: only
    `demo`). brokers: addresses of a Kafka that somebody else runs, whatever the environment says.
    """

    def __init__(
        self,
        profile: str,
        *,
        home: Path | None = None,
        workers: Mapping[str, int] | None = None,
        services: tuple[str, ...] = plan.SERVICES,
        env: Mapping[str, str] | None = None,
        kafka_heap_mb: int = 512,
        redis_fsync: str = "everysec",
        backoff_max_s: float = LONGEST_PAUSE_S,
        ready_timeout_s: float = 90.0,
        bound: bool | None = None,
        external: bool | None = None,
        brokers: str | None = None,
        monitor: Path | None = None,
        scrape_s: float = prometheus.SCRAPE_S,
        raw_institutions: tuple[str, ...] | None = None,
        say: Callable[[str], None] | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.places = Places.of(profile, home)
        self.control = Control(self.places)
        written = plan.raw_institutions(plan.DEMO_WRITES_RAW if profile == STAYS else "")
        self.raw_institutions = written if raw_institutions is None else raw_institutions
        self.workers = {**({plan.INTAKE: 1} if self.raw_institutions else {}), **ONE_EACH, **(workers or {})}
        self.env = {plan.WRITE_RAW: ",".join(self.raw_institutions), **(env or {})}
        self.kafka_heap_mb, self.redis_fsync, self.backoff_max_s = kafka_heap_mb, redis_fsync, backoff_max_s
        self.ready_timeout_s = ready_timeout_s
        self.bound = profile != STAYS if bound is None else bound
        environment = os.environ if (profile == STAYS if external is None else external) else {}
        self._kafka_elsewhere, self._redis_elsewhere = brokers or environment.get("KAFKA_BOOTSTRAP"), environment.get("REDIS_URL")
        elsewhere = {"kafka": self._kafka_elsewhere, "redis": self._redis_elsewhere}
        self.services = tuple(service for service in services if not elsewhere.get(service))
        self.monitor, self.scrape_s = monitor, scrape_s
        self.services += (plan.PROMETHEUS,) if monitor else ()
        self.say = say or (lambda _: None)
        self.progress = progress

    @property
    def profile(self) -> str:
        return self.places.profile

    # addresses

    @property
    def kafka_bootstrap(self) -> str:
        return self._kafka_elsewhere or f"{ports.LOCALHOST}:{self.port('kafka')}"

    @property
    def redis_url(self) -> str:
        """For tools: the operator's URL, who may also empty the store and read its figures. It contains the password."""
        return self._redis_of(store_access.OPERATOR)

    def _redis_of(self, user: str) -> str:
        if self._redis_elsewhere:
            return self._redis_elsewhere
        access = store_access.load(self.places)
        port = self.port("redis")
        return access.url(user, port) if access else f"redis://{ports.LOCALHOST}:{port}/0"

    @property
    def gateway_url(self) -> str:
        return f"http://{ports.LOCALHOST}:{self.port('gateway')}"

    @property
    def prometheus_url(self) -> str:
        return f"http://{ports.LOCALHOST}:{self.port(plan.PROMETHEUS)}"

    def metrics_url(self, name: str) -> str:
        return f"http://{ports.LOCALHOST}:{self.port(name)}/metrics"

    def port(self, name: str) -> int:
        own_ports = ports.read(self.places)
        if name not in own_ports:
            raise LauncherError(f"profile {self.profile} has no {name} yet", "start it first")
        return own_ports[name]

    # all of it

    def up(self) -> Self:
        """Starts the missing processes and returns when all are ready. LauncherError names the obstacle."""
        with self._one_at_a_time():
            self.places.make()
            if self.control.identity() is None:
                self.control.kill_leftovers()
            own_ports = ports.keep(self.places, plan.port_names(self.services, self.workers))
            running = self._live_names()
            starting = [
                name
                for name in plan.port_names(self.services, self.workers)
                if name not in running and name != "kafka-controller"
            ]
            ports.check_free(self.places, own_ports, [port for name in starting for port in plan.ports_of(name)])
            if self.control.identity() is None:
                owner = Identity.of(os.getpid()) if self.bound else None
                self.control.launch(owner=owner, backoff_max_s=self.backoff_max_s)
            try:
                self._start_backbone(starting, own_ports)
                self._start_apps(starting)
            except BaseException:
                if not running:
                    self.control.shut_down()
                raise
        return self

    def down(self, *, wipe: bool = False) -> None:
        """Stops workers and gateway first, then Redis and Kafka. Idempotent. `wipe` removes data, logs and ports as well."""
        with self._one_at_a_time():
            self.control.shut_down()
            if wipe:
                self.places.wipe()

    def __enter__(self) -> Self:
        return self.up()

    def __exit__(self, *_: object) -> None:
        self.down()

    # one process

    def names(self) -> list[str]:
        """The processes of the supervisor, stopped ones included."""
        return list(self._known_processes())

    def process(self, name: str) -> dict[str, Any]:
        """State (running, waiting, stopping, stopped), pid, port, starts, restarts, last_exit."""
        state: dict[str, Any] | None = self._known_processes().get(name)
        if state is None:
            raise LauncherError(
                f"profile {self.profile} has no process {name}", f"its processes: {', '.join(self.names()) or 'none'}"
            )
        return state

    def pid(self, name: str) -> int:
        """Pid of the running process. LauncherError while there is none."""
        pid: int | None = self.process(name)["pid"]
        if pid is None:
            raise LauncherError(f"{name} of profile {self.profile} is not running")
        return pid

    def kill(self, name: str, sig: int = signal.SIGKILL) -> int:
        """Sends the signal and returns the pid. The supervisor restarts ended processes; it does not notice SIGSTOP."""
        pid = self.pid(name)
        os.kill(pid, sig)
        return pid

    def stop_one(self, name: str, *, grace_s: float | None = None) -> None:
        """SIGTERM, SIGKILL after the grace (0: at once). It stays down until `start_one`."""
        self.control.stop(name, grace_s)
        self._wait_until(name, lambda process: process["pid"] is None, "end", 60)

    def start_one(self, name: str, *, env: Mapping[str, str] | None = None, wait: bool = True) -> None:
        """Starts a stopped process, or one more worker (`assess-2`). `env` applies to its restarts, too."""
        overlay = dict(env or {})
        if name in self._known_processes():
            self._wait_until(name, lambda process: process["state"] != "stopping", "end", 60)
            if self.process(name)["pid"] is not None:
                raise LauncherError(f"{name} is running", "stop_one it first, or restart it")
            self.control.start_again(name, overlay)
        else:
            own_ports = ports.keep(self.places, plan.ports_of(name))
            self.control.start(self._app_spec(name, own_ports), overlay)
            self._aim_prometheus(own_ports)
        if wait:
            self.wait_ready(name)

    def restart(self, name: str, *, env: Mapping[str, str] | None = None) -> None:
        self.stop_one(name)
        self.start_one(name, env=env)

    def wait_new_pid(self, name: str, old_pid: int, timeout_s: float = 30.0) -> int:
        """After a kill: returns the pid of the replacement that the supervisor started."""
        self._wait_until(name, lambda process: process["pid"] not in (None, old_pid), "start again", timeout_s)
        return self.pid(name)

    def wait_ready(self, name: str, timeout_s: float | None = None) -> None:
        """Waits until Kafka and Redis answer, the gateway is ready (with views, if we run workers), and workers serve metrics."""
        log = self.places.logs / f"{name}.log"
        patience_s = timeout_s or self.ready_timeout_s
        reason = partial(self._explain_wait, name)
        ready.wait(ready.ReadinessWait(name, self._check_of(name), self._known_processes, reason, log, patience_s, self.say))

    def conditions(self) -> dict[str, Any]:
        """The processes as the supervisor knows them, with the cause each waits for: `waiting_for`, empty for none."""
        return {
            name: process | {"waiting_for": self._explain_wait(name, process)}
            for name, process in self._known_processes().items()
        }

    def log(self, name: str) -> str:
        """Everything that the process wrote since its log was last rotated."""
        file = self.places.logs / f"{name}.log"
        return file.read_text("utf-8", "replace") if file.exists() else ""

    def is_healthy(self) -> bool:
        """Whether every process that should run does, and answers."""
        processes = self._known_processes()
        if not processes or any(process["state"] != "running" for process in processes.values()):
            return False
        return all(self._check_of(name)() for name in processes)

    # inside

    def _start_backbone(self, starting: list[str], own_ports: dict[str, int]) -> None:
        if "redis" in self.services and "redis" not in starting and store_access.load(self.places) is None:
            raise LauncherError(
                f"the Redis of profile {self.profile} was started by an earlier version, without passwords",
                f"run liandong down --profile {self.profile}, then liandong up; its data stays",
            )
        if "redis" in starting:
            self.control.start(backbone.redis_spec(self.places, own_ports, self.redis_fsync, self.say))
        if "kafka" in starting:
            quick = not self.profile.startswith("bench")
            spec = backbone.kafka_spec(self.places, own_ports, self.kafka_heap_mb, quick, self.progress, self.say)
            self.control.start(spec)
        for name in ("redis", "kafka"):
            if name in self.services:
                self.say(f"waiting for {name}")
                self.wait_ready(name)
        if "kafka" in self.services or self._kafka_elsewhere:
            from deploy.local.topics import create_topics

            made = create_topics(self.kafka_bootstrap, self.raw_institutions)
            self.say(f"created topics: {', '.join(made)}" if made else "all topics exist")

    def _start_apps(self, starting: list[str]) -> None:
        own_ports = ports.read(self.places)
        apps = [
            name for name in plan.port_names(self.services, self.workers) if name not in ("kafka", "kafka-controller", "redis")
        ]
        for name in apps:
            if name in starting:
                self.control.start(self._app_spec(name, own_ports))
        self._aim_prometheus(own_ports)
        for name in apps:
            self.say(f"waiting for {name}")
            self.wait_ready(name)

    def _app_spec(self, name: str, own_ports: dict[str, int]) -> Spec:
        env = plan.common_env(self.places, self.kafka_bootstrap, self._redis_of(store_access.SERVICE), self.env)
        if name == "gateway":
            return plan.gateway_spec(self.places, own_ports[name], env)
        if name == plan.PROMETHEUS and self.monitor:
            prometheus.configure(self.places, self.scrape_s)
            return plan.prometheus_spec(
                prometheus.command(self.places, own_ports[name], self.monitor), self.places, own_ports[name]
            )
        if name.rpartition("-")[0] not in plan.ALL_AGENTS:
            raise LauncherError(f"{name} is not a process of this system", f"workers are named like {plan.AGENTS[0]}-0")
        return plan.worker_spec(name, self.places, own_ports[name], env)

    def _aim_prometheus(self, own_ports: dict[str, int]) -> None:
        """Lets Prometheus scrape all workers and the gateway of the supervisor."""
        names = self.names()
        if plan.PROMETHEUS in names:
            workers = [name for name in names if name.rpartition("-")[0] in plan.ALL_AGENTS]
            prometheus.aim(self.places, own_ports, workers, "gateway" in names)

    def _check_of(self, name: str) -> Callable[[], bool]:
        port = self.port(name)
        if name == "redis":
            return lambda: backbone.redis_answers(self.places, port)
        if name == "kafka":
            return lambda: ready.listens(port) and ready.kafka_answers(self.kafka_bootstrap)
        if name == "gateway":
            views = "workers" in self.services and all(self.workers.values())
            return lambda: ready.gateway_serves(self.gateway_url, views=views)
        if name == plan.PROMETHEUS:
            return lambda: ready.http_ok(f"{self.prometheus_url}/-/ready")
        return lambda: ready.http_ok(self.metrics_url(name))

    def _explain_wait(self, name: str, process: dict[str, Any]) -> str:
        if process["state"] != "running":
            return status.waiting_for(process)
        if status.is_frozen(process["pid"]):
            return f"a signal: it is frozen (kill -CONT {process['pid']} lets it go on)"
        words = status.gateway_words(self.gateway_url) if name == "gateway" else status.own_words(self.places, name, process)
        return words or ("" if self._check_of(name)() else "its start to end")

    def _known_processes(self) -> dict[str, Any]:
        state = self.control.state()
        return state["processes"] if state else {}

    def _live_names(self) -> set[str]:
        return {name for name, process in self._known_processes().items() if process["state"] in ("running", "waiting")}

    def _wait_until(self, name: str, holds: Callable[[dict[str, Any]], bool], what: str, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while not holds(self.process(name)):
            if time.monotonic() > deadline:
                raise LauncherError(f"{name} of profile {self.profile} did not {what} within {timeout_s:.0f} s")
            time.sleep(0.02)

    @contextmanager
    def _one_at_a_time(self) -> Iterator[None]:
        """Of two concurrent starts of one profile, the second waits and finds it running."""
        self.places.home.mkdir(parents=True, exist_ok=True)
        with (self.places.home / f".{self.profile}.lock").open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
