"""Whole sessions with the h2 library as the server, with random requests and at random paces.

Whatever the order of opening, sending, reading, resetting, and of bytes that arrive in pieces: each
side sees what the other one has sent, nothing is left over, and nobody breaks a rule (h2 raises an
exception if the client does).
"""

import random

import pytest
from kit.h2_engine import pairs, request
from kit.h2_frames import goaway
from kit.h2_server import Answer, Peer
from kit.support import pattern

from dugong_like import GoneAway, StreamReset
from dugong_like.http.h2.engine import Engine
from dugong_like.http.h2.options import H2Options, H2Settings
from dugong_like.http.h2.stream import State

BODY = pattern(200_000)
STATUSES = (200, 200, 200, 201, 204, 304, 404, 500)


class Plan:
    """What a request is, and what the server has to answer."""

    def __init__(self, chance, number):
        self.number = number
        self.method = chance.choice([b"GET", b"POST", b"PUT", b"HEAD"])
        self.fields = tuple(
            (b"x-%d" % chance.randrange(9), b"v%d" % chance.randrange(9))
            for _ in range(chance.randrange(4))
        )
        size = chance.choice([0, 1, 100, 3000, 20_000])
        self.body = BODY[: chance.randrange(size + 1)] if self.method in {b"POST", b"PUT"} else b""
        self.trailers = ((b"x-sum", b"%d" % number),) if chance.random() < 0.3 and self.body else ()
        self.is_reset = chance.random() < 0.15
        self.patience = chance.randrange(1, 60)  # steps until then
        self.answer = self._answer(chance)
        self.sent = 0
        self.got = b""

    def _answer(self, chance):
        status = chance.choice(STATUSES)
        size = chance.choice([0, 1, 100, 3000, 20_000])
        has_body = status not in {204, 304} and self.method != b"HEAD"
        body = BODY[: chance.randrange(size + 1)] if has_body else b""
        fields = [("x-number", str(self.number))]
        if chance.random() < 0.5 and has_body:
            fields.append(("content-length", str(len(body))))
        answer = Answer(status, fields, body)
        if has_body and chance.random() < 0.2:
            answer.trailers = [("x-check", str(len(body)))]
        for _ in range(chance.choice([0, 0, 0, 1, 3])):
            answer.informational.append([(":status", "103"), ("link", "</a>")])
        if chance.random() < 0.1:
            answer.trailers, answer.reset = [], chance.choice([0, 2, 8])
        return answer


class Session:
    """A client and a server, between which bytes move in pieces."""

    def __init__(self, seed):
        chance = self.chance = random.Random(seed)
        self.plans = [Plan(chance, number) for number in range(chance.randrange(1, 8))]
        window = chance.choice([100, 1000, 70_000, 262_144])
        settings = H2Settings(
            header_table_size=chance.choice([None, 0, 100, 10_000]),
            max_frame_size=chance.choice([None, 20_000]),
        )
        self.engine = Engine(
            H2Options(
                settings=settings,
                stream_window=window,
                max_stream_window=max(window, chance.choice([1000, 100_000])),
                connection_window=chance.choice([65_535, 100_000, 2**31 - 1]),
            )
        )
        self.peer = Peer(
            self._app,
            frame=chance.choice([100, 1000, 16384]),
            initial_window_size=chance.choice([100, 1000, 65_535, 200_000]),
            max_concurrent_streams=chance.choice([1, 3, 100]),
            header_table_size=chance.choice([0, 60, 4096]),
        )
        self.to_server = self.to_client = b""
        self.streams = {}  # each with its plan
        self.waiting = [*self.plans]
        self.leaves = chance.random() < 0.2  # does the server send GOAWAY?
        self.last = None  # its last stream

    def _app(self, request):
        return self.plans[int(request["x-plan"])].answer

    # ---- the steps, one of which is chosen at random

    def open(self):
        if self.waiting and self.engine.room():
            plan = self.waiting.pop(0)
            head = request(plan.method, *plan.fields, (b"x-plan", b"%d" % plan.number))
            stream = self.engine.open(head, not plan.body and not plan.trailers)
            self.streams[stream] = plan

    def send(self):
        for stream, plan in self.streams.items():
            if stream.request_ended or stream.state is State.CLOSED:
                continue
            size = self.chance.choice([1, 1000, 100_000])
            piece = memoryview(plan.body)[plan.sent : plan.sent + size]
            last = plan.sent + len(piece) == len(plan.body)
            plan.sent += self.engine.send_data(stream, piece, last and not plan.trailers)
            if plan.sent == len(plan.body) and plan.trailers:
                self.engine.send_trailers(stream, plan.trailers)

    def read(self):
        for stream, plan in self.streams.items():
            piece = stream.take(self.chance.choice([1, 1000, 100_000]))
            self.engine.consumed(stream, len(piece))
            plan.got += piece

    def leave(self):
        for stream, plan in self.streams.items():
            plan.patience -= 1
            if plan.is_reset and plan.patience == 0:
                self.engine.reset(stream)

    def move_to_server(self):
        self.to_server += b"".join(self.engine.take_output())
        piece, self.to_server = self._cut(self.to_server)
        self.engine.report_sent(self.engine.queued - len(self.to_server))
        self.to_client += self.peer.take(piece)

    def move_to_client(self):
        self.to_client += self.peer.take(b"")
        piece, self.to_client = self._cut(self.to_client)
        self.engine.receive(memoryview(piece) if self.chance.random() < 0.5 else piece)

    def _cut(self, wire):
        size = self.chance.choice([1, 20, 1000, 100_000])
        return wire[:size], wire[size:]

    def chat(self):
        way = self.chance.randrange(12)
        if way == 0:
            self.engine.ping()
        elif way == 1:
            self.peer.connection.ping(b"from you")
        elif way == 2:
            window = self.chance.choice([100, 500, 65_535])
            self.peer.change({4: window})
        elif way == 3 and self.leaves and self.last is None and self.engine.remote_settings:
            self.last = self.chance.choice([stream.id for stream in self.streams] + [2**31 - 1])
            self.to_client += goaway(self.last)

    def play(self):
        steps = [self.open, self.send, self.read, self.leave, self.chat]
        steps += [self.move_to_server, self.move_to_client] * 2
        for _ in range(60):
            self.chance.choice(steps)()
        idle = 0
        while idle < 3:  # then everything in turn, until nothing moves
            before = self._place()
            for step in (self.open, self.send, self.move_to_server, self.move_to_client, self.read):
                step()
            idle = idle + 1 if before == self._place() else 0

    def _place(self):
        sizes = (len(plan.got) for plan in self.plans)
        states = (stream.state for stream in self.streams)
        return self.engine.queued, self.to_server, self.to_client, *sizes, *states

    # ---- what has to be so in the end

    def check(self):
        engine = self.engine
        assert engine.ended is None, engine.ended
        assert not engine.streams
        assert not self.waiting or self.last is not None
        assert not engine.pings
        for stream, plan in self.streams.items():
            if plan.is_reset and plan.patience <= 0 and not stream.ended:
                continue
            if type(stream.error) is GoneAway:
                assert stream.id > self.last
                assert stream.error.request_sent in {"no", "yes"}  # a head may have come before
                continue
            self._check_response(stream, plan)
        self._check_requests()
        self._check_windows()

    def _check_response(self, stream, plan):
        answer = plan.answer
        assert stream.head.status == answer.status
        assert (b"x-number", b"%d" % plan.number) in pairs(stream.head.fields)
        assert len(stream.informational) == len(answer.informational)
        if plan.is_reset and plan.patience <= 0:
            return  # its content was dropped
        if answer.reset is not None:
            assert type(stream.error) is StreamReset
            assert stream.error.code == answer.reset
            assert answer.body.startswith(plan.got)
            return
        assert stream.error is None
        assert plan.got == answer.body
        expected = [(name.encode(), value.encode()) for name, value in answer.trailers]
        assert pairs(stream.trailers or b"") == expected

    def _check_requests(self):
        seen = {int(request["x-plan"]): request for request in self.peer.requests}
        for plan in self.streams.values():
            if plan.number not in seen:
                assert plan.is_reset or self.last is not None
                continue
            request = seen[plan.number]
            assert request.body == plan.body
            fields = [(name.encode(), value.encode()) for name, value in request.fields]
            assert fields[4:-1] == [*plan.fields]
            assert request.trailers == [(n.decode(), v.decode()) for n, v in plan.trailers]

    def _check_windows(self):
        """The windows of the connection are the same on both sides."""
        window = self.engine._shared.receive_window
        assert window.left == self.peer.connection.outbound_flow_control_window
        assert window.left + window._unreported == self.engine._shared.options.connection_window
        assert self.engine.window == self.peer.connection.inbound_flow_control_window


def play(seeds):
    for seed in seeds:
        session = Session(seed)
        try:
            session.play()
            session.check()
        except Exception as exc:
            exc.add_note(f"seed {seed}")
            raise


@pytest.mark.parametrize("part", range(4))
def test_random_sessions(part):
    play(range(part * 50, part * 50 + 50))


@pytest.mark.slow
def test_many_random_sessions():
    play(range(1000, 6000))
